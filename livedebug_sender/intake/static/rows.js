// The rows of the list: a payload, or a request, in two lines.

import { shown } from "./address.js";
import { h, marked, moment, plural, size } from "./dom.js";

const NAMES = { symdb: "symbols" };

export const badge = (text, kind = `s-${text.replace(/[^A-Z]/gi, "")}`) => h(`span.badge.k-${kind}`, NAMES[text] ?? text);

const spot = (text, kind) => h(`span.${kind}`, marked(text, shown.text));
const isGood = (status) => status >= 200 && status < 300;

/** The last part of a path. */
const basename = (path) => path.split(/[\\/]/).pop();

function row(kind, name, told, at, bytes, rest, status) {
  return h(`div.row.k-${kind}${isGood(status) ? "" : ".refused"}`, h("span.dot"), h("span.title", name), h("span.told", told), moment(at * 1000),
    h("span.rest", rest, isGood(status) ? "" : h("span.flag.bad", status ? `answered ${status}` : "no answer")), h("span.size", size(bytes)));
}

export function payloadRow(one) {
  const place = one.file && basename(one.file) + (one.line && `:${one.line}`);
  const told = one.message || one.exception;
  const seen = [one.probe, told, one.service, one.function, place];
  const isHidden = one.excerpt && !seen.some((text) => text.toLowerCase().includes(shown.text.toLowerCase()));
  return row(one.kind, spot(one.probe || one.function || NAMES[one.kind] || one.kind, "name"),
    spot(isHidden ? one.excerpt : told, "message"), one.at, one.size,
    [one.status && badge(one.status), place && spot(place, "place"), one.function && one.probe && spot(one.function, "place"), one.service && spot(one.service, "service"),
      one.exception && one.kind === "snapshot" && h("span.flag.bad", { title: one.exception }, one.exception.split(":")[0]),
      one.findings?.length > 0 && h("span.flag", { title: one.findings.join("\n") }, plural(one.findings.length, "finding"))], one.answered);
}

export function requestRow(one) {
  return row("request", spot(one.tracks.join(", ") || "unreadable", "name"), spot(one.problem || one.tags.replaceAll(",", "  "), "message"), one.at, one.size,
    [spot(one.path, "place"), h("span", plural(one.payloads, "payload")), one.services.length > 0 && h("span", one.services.join(", "))], one.status);
}
