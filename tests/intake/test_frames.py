"""What a page shows of a payload, without a page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from livedebug_sender.intake.exact import Number, at_pointer, exact, inline, printed
from livedebug_sender.intake.frames import comparison, exact_value, frame_of, tree_of
from livedebug_sender.intake.nodes import Node, capture_nodes, json_node
from livedebug_sender.intake.reading import Payload, payloads_of

JSON = {"content-type": "application/json"}


def payload(value: Any) -> Payload:
    text = value if isinstance(value, str) else json.dumps(value)
    (found,) = payloads_of("/debugger/v2/input", JSON, text.encode())
    return found


def walk(nodes: list[Node], path: str = "", pointer: str = "") -> list[tuple[str, str, Node]]:
    """Each node with its path and its pointer, from the top down."""
    found = []
    for node in nodes:
        steps, keys = path + node["step"], pointer + node["key"]
        found.append((steps.removeprefix("."), keys, node))
        found += walk(node.get("kids", []), steps, keys)
    return found


def snapshot(**captures: Any) -> dict[str, Any]:
    return {"debugger": {"snapshot": {"probe": {"id": "p"}, "captures": captures}}}


def test_numbers_stay_as_they_were_written() -> None:
    text = '{"a": 1234567890123456789, "b": 1.10, "c": [1e999, -0], "d": "1"}'
    value = exact(text)
    assert printed(value) == text
    assert inline(value["a"]) == "1234567890123456789"
    assert isinstance(value["d"], str)
    assert not isinstance(value["d"], Number)
    assert exact(printed(value, indent=2)) == value


def test_a_pointer_finds_what_it_names() -> None:
    value = {"a/b": [{"~": 1}], "": 2}
    assert at_pointer(value, "/a~1b/0/~0") == 1
    assert at_pointer(value, "/") == 2
    assert at_pointer(value, "") is value
    for wrong in ("/x", "/a~1b/7", "/a~1b/x", "/a~1b/0/~0/deeper"):
        with pytest.raises(LookupError):
            at_pointer(value, wrong)


def test_a_snapshot_reads_like_a_stack_frame(samples: dict[str, list[Any]]) -> None:
    thrown = next(one for one in samples["snapshots"] if "out of stock" in json.dumps(one))
    frame = frame_of(payload(thrown))
    assert [one["function"] for one in frame["stack"]] == ["checkout", "main", "<module>"]
    assert (frame["stack"][0]["file"], frame["stack"][0]["line"]) == ("/app/shop.py", "42")
    (problem,) = frame["problems"]
    assert (problem["title"], len(problem["stack"])) == ("RuntimeError", 1)
    facts = dict(frame["facts"])
    assert facts["probe"] == "checkout-call, version 1"
    assert facts["took"].endswith(" ms")
    names = [node["name"] for _, _, node in walk(frame["tree"]["nodes"])]
    assert names[:4] == ["entry", "return", "arguments", "inventory"]
    assert {"locals", "exception", "total"} <= set(names)


def test_the_return_value_stands_beside_the_arguments(samples: dict[str, list[Any]]) -> None:
    returned = next(one for one in samples["snapshots"] if "@return" in json.dumps(one))
    (moment,) = [n for n in frame_of(payload(returned))["tree"]["nodes"] if n["name"] == "return"]
    assert "return value" in [node["name"] for node in moment["kids"]]


def test_every_node_leads_back_to_its_json(samples: dict[str, list[Any]]) -> None:
    large = payload(samples["snapshots"][0])
    value = exact_value(large)
    tree = frame_of(large)["tree"]
    found = {path: (pointer, node) for path, pointer, node in walk(tree["nodes"])}
    pointer, node = found["lines.43.arguments.order.customer['name']"]
    captured = at_pointer(value, tree["pointer"] + pointer)
    assert (captured["type"], captured["value"]) == (node["type"], node["value"])
    for pointer, _ in found.values():
        at_pointer(value, tree["pointer"] + pointer)  # or LookupError


@pytest.mark.parametrize(
    ("captured", "shown"),
    [
        ({"type": "int", "value": "1"}, {"type": "int", "value": "1"}),
        ({"type": "None", "isNull": True}, {"type": "None", "value": "null"}),
        (
            {"type": "str", "notCapturedReason": "redactedIdent"},
            {"type": "str", "note": "not captured: redactedIdent"},
        ),
        (
            {"type": "str", "value": "x", "truncated": True, "size": 900},
            {"type": "str", "value": "x", "note": "cut, of 900"},
        ),
        ({"type": "str", "pruned": True}, {"type": "str", "note": "pruned"}),
        ({"type": "list", "elements": [], "size": 0}, {"type": "list", "note": "0"}),
        (17, {"value": "17"}),
        (None, {"value": "null"}),
    ],
)
def test_a_captured_value_says_all_there_is_to_know(captured: Any, shown: dict[str, str]) -> None:
    (moment,) = capture_nodes({"entry": {"locals": {"x": captured}}})
    (node,) = moment["kids"][0]["kids"]
    assert {k: v for k, v in node.items() if k not in ("name", "step", "key")} == shown


def test_keys_of_a_map_that_are_no_plain_values_are_shown_as_branches() -> None:
    entry = [{"type": "tuple", "elements": [{"value": "1"}]}, {"type": "str", "value": "v"}]
    (moment,) = capture_nodes({"return": {"locals": {"m": {"type": "dict", "entries": [entry]}}}})
    found = moment["kids"][0]["kids"][0]
    assert [node["name"] for node in found["kids"]] == ["key 0", "value 0"]


@pytest.mark.parametrize(
    "captures",
    [[], 1, "x", {"lines": 3}, {"entry": 1}, {"return": {"locals": [1]}}, {"entry": {"x": None}}],
)
def test_captures_of_any_shape_are_shown_somehow(captures: Any) -> None:
    frame_of(payload(snapshot(**captures) if isinstance(captures, dict) else snapshot(x=captures)))


@pytest.mark.parametrize("value", ["[]", "1", '"x"', '{"debugger": {"diagnostics": {"x": 1}}}'])
def test_a_payload_of_any_shape_has_a_frame_and_a_tree(value: str) -> None:
    for found in payloads_of("/debugger/v1/diagnostics", JSON, f"[{value}]".encode()):
        assert "facts" in frame_of(found)
        assert "nodes" in tree_of(found)


def test_two_snapshots_are_compared_value_by_value() -> None:
    def taken(**locals: Any) -> Payload:
        return payload(snapshot(entry={"locals": locals}))

    old = taken(
        same={"type": "int", "value": "1"},
        n={"type": "int", "value": "1"},
        t={"type": "int", "value": "1"},
        gone={"type": "A", "fields": {"a": {"type": "int", "value": "1"}}},
        box={"type": "list", "elements": [{"type": "int", "value": "5"}]},
    )
    new = taken(
        same={"type": "int", "value": "1"},
        n={"type": "int", "value": "2"},
        t={"type": "str", "value": "1"},
        came={"type": "A", "fields": {"a": {"type": "int", "value": "1"}}},
        box={"type": "list", "elements": [{"type": "int", "value": "5"}, {"value": "6"}]},
    )
    found = comparison(old, new)
    assert found["counts"] == {"added": 2, "removed": 1, "changed": 2}
    changed = {path: node for path, _, node in walk(found["nodes"])}
    assert changed["entry.locals.n"]["was"] == "1"
    assert changed["entry.locals.t"]["was"] == "1 int"
    assert changed["entry.locals.came"]["change"] == "added"
    assert changed["entry.locals.gone"]["change"] == "removed"
    assert changed["entry.locals.box[1]"]["change"] == "added"
    assert not {"entry.locals.same", "entry.locals.box[0]"} & set(changed)
    everything = [path for path, _, _ in walk(found["all"])]
    assert "entry.locals.same" in everything


def test_a_snapshot_compared_with_itself_has_not_changed(samples: dict[str, list[Any]]) -> None:
    one = payload(samples["snapshots"][0])
    found = comparison(one, one)
    assert (found["counts"], found["nodes"]) == ({"added": 0, "removed": 0, "changed": 0}, [])


def test_any_json_is_a_tree_with_its_order_and_numbers() -> None:
    node = json_node("", exact('{"10": 1.50, "9": [true, null, "t"]}'), "", "")
    shown = [(n["name"], n.get("value")) for _, _, n in walk(node["kids"])]
    assert shown == [
        ("10", "1.50"),
        ("9", None),
        ("[0]", "true"),
        ("[1]", "null"),
        ("[2]", '"t"'),
    ]


def test_many_lines_below_one_are_grouped_without_a_step_of_their_own() -> None:
    values = {f"v{n}": {"type": "int", "value": str(n)} for n in range(1_200)}
    (entry,) = capture_nodes({"entry": {"locals": values}})
    (group,) = entry["kids"]
    shown = [(kid["name"], kid.get("note"), len(kid["kids"])) for kid in group["kids"]]
    assert shown == [
        ("v0 … v499", "500", 500),
        ("v500 … v999", "500", 500),
        ("v1000 … v1199", "200", 200),
    ]
    found = {path: pointer for path, pointer, _ in walk([entry])}
    assert found["entry.locals.v1007"] == "/entry/locals/v1007"
