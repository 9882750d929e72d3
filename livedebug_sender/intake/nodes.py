"""The trees that the page shows: captured variables, symbols, any JSON, comparisons.

A `Node` is plain data for JSON. Its position relative to its parent is given twice: `step`, in
readable form (``.customer``, ``[0]``), and `key`, a segment of a JSON pointer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypedDict

from .exact import inline, pointer_to, printed

#: Maximum children of a node; more are put into groups, since a browser can't show 100,000 rows.
_MAX_KIDS = 500

_GROUPS = {"arguments": "arguments", "locals": "locals", "staticFields": "static fields"}


class Node(TypedDict, total=False):
    """A line of a tree, and the lines below it.

    Attributes:
        kind: its appearance: a heading, a failure; absent: a value.
        change: in a comparison; absent: unchanged.
        was: the previous value, if it changed.
    """

    name: str
    type: str
    value: str
    note: str
    step: str
    key: str
    kind: Literal["section", "bad"]
    change: Literal["added", "removed", "changed"]
    was: str
    kids: list[Node]


def capture_nodes(captures: Any) -> list[Node]:
    """The captures of a snapshot (entry, line 43, return), each with its groups."""
    found = _object(captures)
    moments = [("entry", found.get("entry"), "entry", "/entry")]
    for line, capture in _object(found.get("lines")).items():
        moments.append((f"line {line}", capture, f"lines.{line}", pointer_to("lines", line)))
    moments.append(("return", found.get("return"), "return", "/return"))
    return [_moment(*moment) for moment in moments if moment[1] is not None]


def json_node(name: str, value: Any, step: str, key: str) -> Node:
    """Any JSON."""
    node: Node = {"name": name, "step": step, "key": key}
    if isinstance(value, dict):
        kids = [json_node(k, v, f".{k}", pointer_to(k)) for k, v in value.items()]
    elif isinstance(value, list):
        node["type"] = "array"
        kids = [json_node(f"[{n}]", v, f"[{n}]", pointer_to(n)) for n, v in enumerate(value)]
    else:
        node["value"] = printed(value)
        return node
    node["note"] = str(len(kids))
    return _with_kids(node, kids)


def scope_node(given: Any, step: str, key: str) -> Node:
    """A scope of an uploaded symbol database, with its nested scopes and symbols."""
    scope = _object(given)
    node: Node = {"name": inline(scope.get("name")), "step": step, "key": key}
    if scope.get("scope_type"):
        node["type"] = inline(scope["scope_type"]).lower()
    if inline(scope.get("end_line")) not in ("", "0"):
        node["note"] = f"lines {inline(scope.get('start_line'))}-{inline(scope['end_line'])}"
    kids = [
        scope_node(child, f".scopes[{n}]", pointer_to("scopes", n))
        for n, child in enumerate(_array(scope.get("scopes")))
    ]
    for n, child in enumerate(_array(scope.get("symbols"))):
        symbol = _object(child)
        kids.append(
            {
                "name": inline(symbol.get("name")),
                "type": inline(symbol.get("type")),
                "note": inline(symbol.get("symbol_type")).lower(),
                "step": f".symbols[{n}]",
                "key": pointer_to("symbols", n),
            }
        )
    return _with_kids(node, kids)


def compared(before: list[Node], after: list[Node]) -> list[Node]:
    """Merge two lists of nodes by name, and mark added, removed and changed ones."""
    old = {node["name"]: node for node in before}
    both = []
    for node in after:
        other = old.pop(node["name"], None)
        both.append(_all(node, "added") if other is None else _merged(other, node))
    return both + [_all(node, "removed") for node in old.values()]


def only_changed(nodes: list[Node]) -> list[Node]:
    found = []
    for node in nodes:
        if node.get("change") == "changed" and "kids" in node:
            found.append(Node(**{**node, "kids": only_changed(node["kids"])}))
        elif "change" in node:
            found.append(node)
    return found


def tally(nodes: list[Node]) -> dict[str, int]:
    """Count the changes: an added or removed branch counts once, otherwise its leaves count."""
    sums = {"added": 0, "removed": 0, "changed": 0}
    for change in _changes(nodes):
        sums[change] += 1
    return sums


def _changes(nodes: list[Node]) -> Iterator[str]:
    for node in nodes:
        if node.get("change") == "changed" and "kids" in node:
            yield from _changes(node["kids"])
        elif "change" in node:
            yield node["change"]


def _all(node: Node, change: Literal["added", "removed"]) -> Node:
    node["change"] = change
    for kid in node.get("kids", ()):
        _all(kid, change)
    return node


def _merged(old: Node, new: Node) -> Node:
    if "kids" not in old and "kids" not in new:
        if any(old.get(part) != new.get(part) for part in ("value", "type", "note")):
            new["change"], new["was"] = "changed", _said(old, new)
        return new
    kids = compared(old.get("kids", []), new.get("kids", []))
    if old.get("type") != new.get("type"):
        new["change"], new["was"] = "changed", _said(old, new)
    if any("change" in kid for kid in kids):
        new["change"] = "changed"
    return _with_kids(new, kids)


def _said(node: Node, other: Node) -> str:
    value = node.get("value", node.get("note", ""))
    kind = node.get("type", "") if node.get("type") != other.get("type") else ""
    return " ".join(part for part in (value, kind) if part) or "nothing"


def _moment(name: str, given: Any, step: str, key: str) -> Node:
    groups: list[Node] = []
    capture = _object(given)
    for group, values in capture.items():
        if group in _GROUPS:
            groups += _group(_GROUPS[group], _object(values), f".{group}", pointer_to(group))
        elif group == "throwable":
            if thrown := _object(values):
                groups.append(_thrown(thrown))
        else:
            groups.append(json_node(group, values, f".{group}", pointer_to(group)))
    node: Node = {"name": name, "step": step, "key": key, "kind": "section"}
    if not groups:
        node["note"] = "nothing captured"
    return _with_kids(node, groups)


def _group(name: str, values: dict[str, Any], step: str, key: str) -> Iterator[Node]:
    kids = [_captured(k, v, f".{k}", pointer_to(k)) for k, v in values.items() if k != "@return"]
    if kids:
        yield _with_kids({"name": name, "step": step, "key": key, "kind": "section"}, kids)
    if "@return" in values:
        # ddtrace puts it among the locals; it is shown first, as the most interesting one.
        yield _captured("return value", values["@return"], step + ".@return", key + "/@return")


def _thrown(thrown: dict[str, Any]) -> Node:
    node = json_node("exception", thrown, ".throwable", "/throwable")
    node["kind"] = "bad"
    node["type"] = inline(thrown.get("type"))
    node["value"] = inline(thrown.get("message"))
    return node


def _captured(name: str, given: Any, step: str, key: str) -> Node:
    """A captured value: {type, value | fields | elements | entries | isNull | ...}."""
    if not isinstance(given, dict):
        return json_node(name, given, step, key)
    kids = list(_inside(given))
    notes = []
    if given.get("notCapturedReason"):
        notes.append(f"not captured: {inline(given['notCapturedReason'])}")
    if given.get("truncated"):
        notes.append(f"cut, of {inline(given.get('size')) or '?'}")
    if given.get("pruned"):
        notes.append("pruned")
    has_parts = any(part in given for part in ("fields", "elements", "entries"))
    if has_parts and not notes:
        notes.append(inline(given.get("size")) or str(len(kids)))
    node: Node = {"name": name, "step": step, "key": key, "type": inline(given.get("type"))}
    if notes:
        node["note"] = ", ".join(notes)
    if "value" in given:
        node["value"] = inline(given["value"])
    elif given.get("isNull"):
        node["value"] = "null"
    return _with_kids(node, kids)


def _inside(given: dict[str, Any]) -> Iterator[Node]:
    for name, child in _object(given.get("fields")).items():
        yield _captured(name, child, f".{name}", pointer_to("fields", name))
    for n, child in enumerate(_array(given.get("elements"))):
        yield _captured(f"[{n}]", child, f"[{n}]", pointer_to("elements", n))
    for n, entry in enumerate(_array(given.get("entries"))):
        key, value = (*_array(entry), None, None)[:2]
        at = pointer_to("entries", n, 1)
        if isinstance(key, dict) and "value" in key:
            name = inline(key["value"])
            yield _captured(name, value, f"[{name}]", at)
        else:
            yield _captured(f"key {n}", key, f".keys[{n}]", pointer_to("entries", n, 0))
            yield _captured(f"value {n}", value, f".values[{n}]", at)


def _with_kids(node: Node, kids: list[Node]) -> Node:
    if kids:
        node["kids"] = kids if len(kids) <= _MAX_KIDS else list(_grouped(kids))
    return node


def _grouped(kids: list[Node]) -> Iterator[Node]:
    """Nodes that are not part of the payload: they add nothing to paths and pointers."""
    for start in range(0, len(kids), _MAX_KIDS):
        part = kids[start : start + _MAX_KIDS]
        name = f"{part[0]['name']} … {part[-1]['name']}"
        yield {"name": name, "step": "", "key": "", "note": str(len(part)), "kids": part}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _array(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
