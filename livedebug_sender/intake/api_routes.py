"""The routes of the JSON API, under ``/intake/``."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import BadRequest, Gone, NotFound

from ..errors import SenderError
from .api import (
    MAX_ROWS,
    payload_details,
    payload_list,
    probe_list,
    request_details,
    request_list,
    state,
)
from .curl import curl_command
from .events import stream
from .exact import at_pointer, printed
from .faults import FaultInjection
from .filtering import Filter
from .findings import MAX_LOOKED_AT, PayloadFindings
from .frames import comparison, exact_value, tree_of
from .reading import Payload
from .records import RecordedRequest
from .request_json import json_of_request
from .resending import send_again
from .search import Place, Search
from .store import Store

_LIMIT = 200
_NUMBER = re.compile("[0-9]{1,18}")


def add_api(
    app: Flask,
    store: Store,
    search: Search,
    findings: PayloadFindings,
    faults: Callable[[], FaultInjection],
    inject: Callable[[str], None],
    stopping: threading.Event,
) -> None:
    """Add the routes; `docs/intake.rst` describes each."""
    _add_payload_routes(app, store, search)
    _add_request_routes(app, store)
    _add_overview_routes(app, store, search, findings, stopping)
    _add_action_routes(app, store, faults, inject)


def _add_payload_routes(app: Flask, store: Store, search: Search) -> None:
    @app.get("/intake/state")
    def get_state() -> Response:
        return jsonify(state(store))

    @app.get("/intake/payloads")
    def get_payloads() -> Response:
        return jsonify(payload_list(store, search, _filter(), *_window()))

    @app.get("/intake/payloads/<id>")
    def get_payload(id: str) -> Response:
        found, place = _at(store, id)
        return jsonify(payload_details(found, place))

    @app.get("/intake/payloads/<id>/tree")
    def get_payload_tree(id: str) -> Response:
        return jsonify(tree_of(_payload(store, id)))

    @app.get("/intake/payloads/<id>/parts")
    def get_payload_parts(id: str) -> Response:
        texts = _payload(store, id).texts
        return jsonify(parts=[{"name": name, "text": text} for name, text in texts])

    @app.get("/intake/payloads/<id>/raw")
    def get_payload_raw(id: str) -> Response:
        payload = _payload(store, id)
        text = _as_text(payload)
        if pointer := request.args.get("pointer", ""):
            try:
                text = printed(at_pointer(exact_value(payload), pointer), indent=2)
            except LookupError:
                raise NotFound(f"the payload has nothing at {pointer!r:.120}") from None
        return _bytes(text.encode("utf-8", "replace"), "application/json", f"payload-{id}.json")

    @app.get("/intake/payloads/<id>/curl")
    def get_payload_curl(id: str) -> Response:
        found, place = _at(store, id)
        origin = request.host_url.rstrip("/")
        command = curl_command(found, origin, _payload(store, id), place)
        return Response(command, content_type="text/plain; charset=utf-8")

    @app.get("/intake/payloads/<id>/since/<other>")
    def get_comparison(id: str, other: str) -> Response:
        return jsonify(comparison(_payload(store, other), _payload(store, id)))


def _add_request_routes(app: Flask, store: Store) -> None:
    @app.get("/intake/requests")
    def get_requests() -> Response:
        return jsonify(request_list(store, _filter(), *_window()))

    @app.get("/intake/requests/<int:number>")
    def get_request(number: int) -> Response:
        return jsonify(request_details(_request(store, number)))

    @app.get("/intake/requests/<int:number>/body")
    def get_body(number: int) -> Response:
        # Never with the tracer's content type: a browser would run scripts in it.
        body = _request(store, number).body
        return _bytes(body, "application/octet-stream", f"request-{number}.body")

    @app.get("/intake/requests/<int:number>/curl")
    def get_request_curl(number: int) -> Response:
        command = curl_command(_request(store, number), request.host_url.rstrip("/"))
        return Response(command, content_type="text/plain; charset=utf-8")

    @app.delete("/intake/requests")
    def delete_requests() -> Response:
        store.clear()
        return Response(status=204)


def _add_overview_routes(
    app: Flask,
    store: Store,
    search: Search,
    findings: PayloadFindings,
    stopping: threading.Event,
) -> None:
    @app.get("/intake/probes")
    def get_probes() -> Response:
        return jsonify(probes=probe_list(store))

    @app.get("/intake/findings")
    def get_findings() -> Response:
        found = {}
        ids = request.args.get("ids", "").split(",")[:MAX_ROWS]
        for id in ids:
            number, place = _place(id)
            kept = store.get(number)
            if kept is not None and place < len(kept.summaries):
                is_quick = len(ids) == 1 or kept.summaries[place].size <= MAX_LOOKED_AT
                found[id] = findings.of(kept, place) if is_quick else ()
        return jsonify(found)

    @app.get("/intake/export")
    def export() -> Response:
        places, _ = search.places(_filter())
        headers = {"Content-Disposition": 'attachment; filename="payloads.ndjson"'}
        return Response(_lines(store, places), headers=headers, content_type="application/x-ndjson")

    @app.get("/intake/events")
    def events() -> Response:
        # A browser that reconnects sends the id of its last event.
        epoch, _, after = request.headers.get("Last-Event-ID", "").partition(":")
        after = after or request.args.get("after", "0")
        known = int(after) if _NUMBER.fullmatch(after) else 0
        found = stream(
            store, search, _filter(), known, epoch or request.args.get("epoch", ""), stopping
        )
        return Response(found, content_type="text/event-stream")


def _add_action_routes(
    app: Flask,
    store: Store,
    faults: Callable[[], FaultInjection],
    inject: Callable[[str], None],
) -> None:
    @app.get("/intake/faults")
    def get_faults() -> Response:
        return jsonify(faults=faults().left())

    @app.put("/intake/faults")
    def put_faults() -> Response:
        try:
            inject(str(_body().get("faults", "")))
        except ValueError as error:
            raise BadRequest(str(error)) from None
        return get_faults()

    @app.post("/intake/send")
    def post_send() -> Response:
        asked = _body()
        found, place = _at(store, str(asked.get("id", "")))
        url = str(asked.get("url", ""))
        try:
            send_again(found, place, url)
        except SenderError as error:
            return jsonify(sent=False, problem=str(error))
        return jsonify(sent=True, problem="")


def _filter() -> Filter:
    try:
        return Filter.of(request.args)
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _window() -> tuple[int, int, int | None]:
    offset = request.args.get("offset", 0, int)
    limit = request.args.get("limit", _LIMIT, int)
    if offset < 0 or limit < 0:
        raise BadRequest("offset and limit are invalid; expected: integers from 0 on")
    return offset, limit, request.args.get("upto", None, int)


def _body() -> dict[str, object]:
    given = json_of_request()
    if not isinstance(given, dict):
        raise BadRequest("the body is not a JSON object")
    return given


def _request(store: Store, number: int) -> RecordedRequest:
    found = store.get(number)
    if found is None:
        raise Gone(f"request {number} is no longer stored")
    return found


def _at(store: Store, id: str) -> tuple[RecordedRequest, int]:
    number, place = _place(id)
    found = _request(store, number)
    if place >= len(found.summaries):
        raise Gone(f"request {number} has no payload {place}")
    return found, place


def _place(id: str) -> Place:
    try:
        return Place.of(id)
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _payload(store: Store, id: str) -> Payload:
    found, place = _at(store, id)
    payload = found.payload(place)
    if payload is None:
        raise Gone(f"payload {id} is no longer stored")
    return payload


def _as_text(payload: Payload) -> str:
    """The JSON of a payload as it was received; of an upload, an object of its parts."""
    if len(payload.texts) == 1 and not payload.texts[0][0]:
        return payload.texts[0][1]
    return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in payload.texts) + "}"


def _lines(store: Store, places: list[Place]) -> Iterator[bytes]:
    """One payload per line. Line ends in JSON are only white space, so they can be replaced."""
    last: tuple[int, tuple[Payload, ...]] = (0, ())
    for number, place in places:
        if number != last[0]:
            found = store.get(number)
            last = (number, () if found is None else found.payloads)
        if place < len(last[1]):
            yield re.sub(r"[\r\n]+", " ", _as_text(last[1][place])).encode() + b"\n"


def _bytes(content: bytes, content_type: str, filename: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return Response(content, headers=headers, content_type=content_type)
