"""The WSGI application: the intake's routes, other routes of tracers, and the page."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from urllib.parse import unquote

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from ..protocol.credentials import is_credential, is_credential_field
from ..protocol.tracks import V2_PATH
from ..version import __version__
from .api_routes import add_api
from .connection import FAULT_KEY
from .faults import Fault, FaultInjection
from .findings import PayloadFindings
from .origins import SECURITY_HEADERS, rejection_reason
from .reading import AGENT_PATHS, INTAKE_PATH, PATHS, Reading, read
from .remote_config import ProbeFile
from .request_json import json_of_request
from .search import Search
from .store import Store
from .tracer_routes import CONFIG_PATH, LISTED, answer_to, is_a_tracers

_METHODS = ["POST", "PUT"]
_MASK = "***"


def create_app(
    store: Store,
    *,
    loopback: bool,
    max_body: int,
    faults: Callable[[], FaultInjection],
    inject: Callable[[str], None],
    probes: ProbeFile | None,
    findings: PayloadFindings,
    stopping: threading.Event,
) -> Flask:
    """The application.

    Args:
        loopback: whether it is served on loopback only.
        max_body: bytes of a body; a larger one is answered 413.
        faults: returns the active fault plan.
        inject: sets the fault plan; `ValueError` for an invalid one.
        findings: the findings of payloads.
        probes: served as remote configuration; None: an empty configuration is.
        stopping: set when the server stops; ends the streams of events.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = max_body
    app.json.sort_keys = False  # type: ignore[attr-defined]
    taker = _Taker(store)

    @app.before_request
    def keep_others_out() -> Response | None:
        for_page = request.path not in PATHS
        reads = request.method in ("GET", "HEAD")
        said = rejection_reason(_headers(), for_page=for_page, loopback=loopback, reads=reads)
        return _refusal(403, said) if said else None

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers.update(SECURITY_HEADERS)
        return response

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        if error.code == 404:
            store.count_other(request.path)
        return _refusal(error.code or 500, error.description or error.name)

    @app.get("/info")
    def info() -> Response:
        paths = [path for path in AGENT_PATHS if path != V2_PATH or faults().knows_v2()]
        version = f"livedebug-sender {__version__}"
        return jsonify(version=version, endpoints=[*paths, *LISTED], client_drop_p0s=False)

    for path in PATHS:
        app.add_url_rule(path, path, taker.take, methods=_METHODS)

    @app.route(CONFIG_PATH, methods=["GET", *_METHODS])
    def remote_configuration() -> Response:
        store.count_other(CONFIG_PATH)
        asked = json_of_request()
        client = asked.get("client") if isinstance(asked, dict) else None
        products = client.get("products") if isinstance(client, dict) else None
        if probes is None or not isinstance(products, list):
            return jsonify({})
        return jsonify(probes.answer([str(product) for product in products]))

    @app.route("/<path:path>", methods=["GET", *_METHODS])
    def anything_else(path: str) -> Response:  # noqa: ARG001 - the route's own name for it
        store.count_other(request.path)
        if not is_a_tracers(request.path):
            return _refusal(404, f"{request.path!r:.120} is not a route of the intake")
        request.get_data(cache=False)
        return Response(answer_to(request.path), 200, content_type="application/json")

    @app.get("/")
    def page() -> Response:
        return app.send_static_file("index.html")

    add_api(app, store, Search(store), findings, faults, inject, stopping)
    return app


class _Taker:
    """Accepts the requests to the intake's own routes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # One body is decoded at a time: decoded JSON takes many times its size.
        self._reading = threading.Lock()

    def take(self) -> Response:
        """Store the request, and answer it, normally or with an injected fault."""
        fault: Fault = request.environ.get(FAULT_KEY, Fault())
        headers = _headers()
        query = request.query_string.decode("latin-1")
        reading, body, status, remark = self._read(fault, headers, query)
        if request.path == INTAKE_PATH and "dd-api-key" not in headers:
            remark = remark or "no DD-API-KEY: Datadog's own intake would refuse it"
        if fault.ending:
            status, remark = 0, f"no answer (injected fault: {fault.ending})"
        kept = _masked_query(query), _masked(headers)
        self._store.add(request.path, *kept, body, status, reading, remark)
        if status < 300:
            response = Response("{}", status or 500, content_type="application/json")
        else:
            response = _refusal(status, reading.problem or remark or "injected fault")
        if fault.retry_after is not None:
            response.headers["Retry-After"] = f"{fault.retry_after:g}"
        return response

    def _read(
        self, fault: Fault, headers: dict[str, str], query: str
    ) -> tuple[Reading, bytes, int, str]:
        nothing = Reading(read(request.path, query, headers, b"[]").mode, "")
        if fault.early:
            remark = "answered before its body was read (injected fault)"
            return nothing, b"", fault.status or 202, remark
        try:
            body = request.get_data(cache=False)
        except RequestEntityTooLarge:
            return nothing, b"", 413, "the body is too large for this intake"
        with self._reading:
            reading = read(request.path, query, headers, body)
        status = fault.status or (400 if reading.problem else 202)
        remark = "injected fault" if fault.status and fault.status >= 300 else ""
        return reading, body, status, remark


def _headers() -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _masked(headers: dict[str, str]) -> dict[str, str]:
    return {name: _MASK if is_credential(name) else value for name, value in headers.items()}


def _masked_query(query: str) -> str:
    pairs = [field.partition("=") for field in query.split("&")]
    return "&".join(
        name + equals + (_MASK if is_credential_field(unquote(name)) else value)
        for name, equals, value in pairs
    )


def _refusal(status: int, said: str) -> Response:
    body = json.dumps({"errors": [said]})
    return Response(body, status, content_type="application/json")
