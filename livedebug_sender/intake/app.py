"""The routes: an agent's, the intake's, and the page's own."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from ..version import __version__
from .browsers import SECURITY_HEADERS, objection
from .filtering import Wanted
from .misbehaving import Misbehaviour
from .reading import AGENT_PATHS, INTAKE_PATH, Reading, read
from .store import Store
from .view import news, opened

PATHS = (*AGENT_PATHS, INTAKE_PATH)
_MASKED = ("dd-api-key", "dd-application-key", "authorization", "cookie")


def create_app(
    store: Store,
    misbehaviour: Callable[[], Misbehaviour],
    *,
    loopback: bool,
    max_body: int,
    pause: Callable[[float], object] = time.sleep,
) -> Flask:
    """The WSGI application.

    Args:
        misbehaviour: asked at every request.
        loopback: is it to be served on loopback only?
        max_body: bytes of a body; a larger one is answered 413.
        pause: waits so many seconds.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = max_body

    @app.before_request
    def keep_others_out() -> Response | None:
        for_page = request.path not in PATHS
        said = objection(_headers(), for_page=for_page, loopback=loopback)
        return _refusal(403, said) if said else None

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers.update(SECURITY_HEADERS)
        return response

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        if error.code == 404:
            store.count_elsewhere()
        return _refusal(error.code or 500, error.description or error.name)

    @app.get("/info")
    def info() -> Response:
        return jsonify(version=f"livedebug-sender {__version__}", endpoints=list(AGENT_PATHS))

    def take() -> Response:
        status, problem = _take(store, misbehaviour())
        pause(misbehaviour().delay)
        return _refusal(status, problem) if status >= 300 else Response("{}", status)

    for path in PATHS:
        app.add_url_rule(path, path, take, methods=["POST", "PUT"])

    @app.get("/")
    def page() -> Response:
        return app.send_static_file("index.html")

    @app.get("/page/news")
    def page_news() -> Response:
        after = request.args.get("after", 0, int)
        epoch = request.args.get("epoch", "")
        return jsonify(news(store, _wanted(), after, epoch, time.time()))

    @app.get("/page/requests/<int:number>")
    def page_request(number: int) -> Response:
        kept = store.get(number)
        if kept is None:
            return _refusal(410, f"request {number} is not kept any more")
        return jsonify(opened(kept, _wanted()))

    @app.post("/page/clear")
    def page_clear() -> Response:
        store.clear()
        return Response(status=204)

    return app


def _take(store: Store, misbehaviour: Misbehaviour) -> tuple[int, str]:
    """Keep the request; its answer's status and what is to be said of it."""
    headers = _headers()
    query = request.query_string.decode("latin-1")
    try:
        body = request.get_data(cache=False)
        reading = read(request.path, query, headers, body)
        status = 400 if reading.problem else 202
    except RequestEntityTooLarge:
        body = b""
        empty = read(request.path, query, headers, b"[]")
        reading = Reading(empty.mode, empty.tags, problem="the body is too large for this intake")
        status = 413
    status = misbehaviour.status() or status
    remark = ""
    if request.path == INTAKE_PATH and "dd-api-key" not in headers:
        remark = "no DD-API-KEY: Datadog's own intake would refuse it"
    store.add(request.path, query, _masked(headers), body, status, reading, remark)
    return status, reading.problem or "refused on purpose (--fail)"


def _wanted() -> Wanted:
    given = {name: request.args.get(name, "") for name in ("track", "probe", "service", "text")}
    return Wanted(**given)


def _headers() -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _masked(headers: dict[str, str]) -> dict[str, str]:
    return {name: "***" if name in _MASKED else value for name, value in headers.items()}


def _refusal(status: int, said: str) -> Response:
    response = jsonify(errors=[said])
    response.status_code = status
    return response
