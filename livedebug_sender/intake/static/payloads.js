// A payload, shown as what it is.

import { badge, clock, facts, fold, make, text } from "./dom.js";

const LOOKS = { snapshot, log, status, symdb };

export function payload(found, open) {
  const title = [badge(found.kind), " "];
  if (found.probe) title.push(make("strong", {}, found.probe), " ");
  if (found.status) title.push(badge(found.status), " ");
  title.push(make("span", { class: "quiet" }, found.message));
  return fold("payload", title, () => {
    const look = LOOKS[found.kind];
    const shown = look ? look(object(found.value)) : [];
    return make("div", { class: "inside" }, ...shown, raw(found.value, !look));
  }, open);
}

function snapshot(value) {
  const snap = object(object(value.debugger).snapshot);
  return [
    ...head(value, snap),
    stack(snap.stack),
    ...errors(snap.evaluationErrors),
    make("h3", {}, "Captured"),
    make("div", { class: "tree code captures" }, ...captures(object(snap.captures))),
  ];
}

function log(value) {
  const snap = object(object(value.debugger).snapshot);
  return [...head(value, snap), stack(snap.stack), ...errors(snap.evaluationErrors)];
}

function status(value) {
  const said = object(object(value.debugger).diagnostics);
  const failed = object(said.exception);
  return [
    facts(
      ["status", said.status], ["message", value.message], ["service", value.service],
      ["at", value.timestamp && clock(value.timestamp)], ["version", said.probeVersion],
      ["runtime", said.runtimeId], ["error", failed.type], ["", failed.message],
    ),
    ...(failed.stacktrace ? [stack(failed.stacktrace)] : []),
  ];
}

function symdb(value) {
  const event = object(value.event);
  const symbols = object(value.symbols);
  return [
    facts(
      ["service", event.service ?? symbols.service], ["env", symbols.env],
      ["version", event.version ?? symbols.version],
      ["language", event.language ?? symbols.language], ["upload", event.uploadId],
      ["batch", event.batchNum], ["final", event.final],
    ),
    make("h3", {}, "Scopes"),
    make("div", { class: "tree code scopes" }, ...array(symbols.scopes).map((one) => scope(one))),
  ];
}

function head(value, snap) {
  const probe = object(snap.probe);
  const place = object(probe.location);
  const lines = array(place.lines).join(", ");
  const logger = object(value.logger);
  return [facts(
    ["message", value.message], ["service", value.service],
    ["probe", probe.id && `${text(probe.id)} (version ${text(probe.version ?? "?")})`],
    ["at", place.file ? `${place.file}:${lines}` : [place.type, place.method].filter(Boolean).join(".")],
    ["in", logger.method], ["thread", logger.thread_name],
    ["time", value.timestamp && clock(value.timestamp)],
    ["took", typeof snap.duration === "number" ? `${(snap.duration / 1e6).toFixed(3)} ms` : null],
  )];
}

function stack(frames) {
  const known = array(frames);
  return fold("", [`Stack (${known.length})`], () => make("ol", { class: "stack code" },
    ...known.map(object).map((frame) => make("li", {},
      make("span", {}, text(frame.function ?? "?")),
      make("span", { class: "where" }, `${text(frame.fileName ?? "?")}:${text(frame.lineNumber ?? "?")}`),
    ))), known.length > 0 && known.length <= 12);
}

function errors(found) {
  return array(found).map((one) => make("p", { class: "problem" },
    `${text(object(one).expr ?? "")}: ${text(object(one).message ?? one)}`));
}

function captures(found) {
  const moments = [];
  if (found.entry) moments.push(["entry", found.entry]);
  for (const [line, capture] of Object.entries(object(found.lines))) moments.push([`line ${line}`, capture]);
  if (found.return) moments.push(["return", found.return]);
  return moments.map(([name, capture]) => fold("", [make("span", { class: "name" }, name)], () => {
    const groups = Object.entries(object(capture)).filter(([, group]) => group && Object.keys(group).length);
    const shown = groups.map(([group, values]) => (group === "throwable"
      ? throwable(object(values))
      : fold("", [group], () => named(values), true)));
    return shown.length ? shown : [make("div", { class: "leaf quiet" }, "nothing")];
  }, true));
}

function throwable(thrown) {
  return fold("", [make("span", { class: "note" }, `throwable ${text(thrown.type ?? "")}`), " ",
    make("span", { class: "value" }, text(thrown.message ?? ""))], () => stack(thrown.stacktrace));
}

function named(values) {
  return Object.entries(object(values)).map(([name, value]) => captured(name, value));
}

/** A captured value: a leaf, or a branch that unfolds. */
function captured(name, given) {
  const value = object(given);
  const line = [make("span", { class: "name" }, name), " ",
    make("span", { class: "type" }, text(value.type ?? ""))];
  const children = inside(value);
  if ("value" in value) line.push(" ", make("span", { class: "value" }, text(value.value)));
  if (value.isNull) line.push(" ", make("span", { class: "value" }, "null"));
  if (value.notCapturedReason) line.push(" ", make("span", { class: "note" }, `not captured: ${text(value.notCapturedReason)}`));
  if (value.truncated) line.push(" ", make("span", { class: "note" }, `cut, of ${text(value.size ?? "?")}`));
  if (value.pruned) line.push(" ", make("span", { class: "note" }, "pruned"));
  if (!children) return make("div", { class: "leaf" }, ...line);
  line.push(" ", make("span", { class: "type" }, `(${text(value.size ?? children.length)})`));
  if (!children.length) return make("div", { class: "leaf" }, ...line);
  return fold("", line, () => children.map(([key, child]) => captured(key, child)));
}

function inside(value) {
  if (value.fields) return Object.entries(object(value.fields));
  if (value.elements) return array(value.elements).map((child, n) => [`[${n}]`, child]);
  if (value.entries) {
    return array(value.entries).map(array).flatMap(([key, child]) => {
      const plain = object(key).value;
      return plain === undefined ? [["key", key], ["value", child]] : [[text(plain), child]];
    });
  }
  return null;
}

function scope(given) {
  const found = object(given);
  const lines = found.end_line ? ` ${found.start_line}–${found.end_line}` : "";
  const symbols = array(found.symbols);
  const scopes = array(found.scopes);
  const line = [make("span", { class: "type" }, text(found.scope_type ?? "")), " ",
    make("span", { class: "name" }, text(found.name ?? "")), make("span", { class: "type" }, lines)];
  if (!symbols.length && !scopes.length) return make("div", { class: "leaf" }, ...line);
  return fold("", line, () => [
    ...scopes.map(scope),
    ...symbols.map(object).map((symbol) => make("div", { class: "leaf" },
      make("span", { class: "type" }, text(symbol.symbol_type ?? "")), " ",
      make("span", { class: "name" }, text(symbol.name ?? "")), " ",
      make("span", { class: "type" }, text(symbol.type ?? "")))),
  ]);
}

function raw(value, open) {
  return fold("raw", ["JSON"], () => make("pre", {}, JSON.stringify(value, null, 2)), open);
}

function object(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

function array(value) {
  return Array.isArray(value) ? value : [];
}
