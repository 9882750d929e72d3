// What is open: a payload in its views, two snapshots compared, or a request.

import { go, shown } from "./address.js";
import { ask, at, button, copyFrom, count, facts, h, marked, moment, plural, toast } from "./dom.js";
import { badge, payloadRow } from "./rows.js";
import { Tree } from "./tree.js";

const FIRST = 200000; // characters shown at once
const TABS = { "": ["Frame", frame], json: ["JSON", json], raw: ["As received", raw], request: ["Request", aboutRequest], findings: ["Findings", odd] };
const box = at("detail");
let turn = 0;

/** Show what the address says is open; `idle` fills the pane while nothing is. */
export async function showOpen(idle) {
  const mine = ++turn;
  document.body.classList.toggle("opened", Boolean(shown.open));
  const { open } = shown;
  const made = await (!open ? idle() : (open[0] === "r" ? request(open.slice(1)) : payload(open))
    .catch((error) => [bar([]), h("p.empty", error.message)]));
  if (mine !== turn) return;
  box.replaceChildren(...made.filter(Boolean));
  box.scrollTop = 0;
  const tab = box.querySelector("[data-tab=findings]");
  const sum = tab && (await findings(open)).length;
  if (sum) tab.append(" ", h("span.sum", count(sum)));
}

export const openOne = (id) => go({ open: id, compare: "" }, { step: true });

async function payload(id) {
  const found = await ask(`payloads/${id}`);
  const isSnapshot = found.kind === "snapshot";
  const isCompared = Boolean(shown.compare) && isSnapshot;
  const tab = TABS[shown.tab] ? shown.tab : "";
  return [
    bar([
      isSnapshot && button(isCompared ? "Stop comparing" : "Compare", () => (isCompared ? go({ compare: "" }, { step: true }) : compareWithOlder(found)), { id: "compare" }),
      copying(`payloads/${id}`), button("Copy JSON", () => copyFrom(`payloads/${id}/raw`, "JSON"), { id: "copy-json" }),
      button("Send again", () => sendAgain(id), { id: "send-again" }),
    ]),
    h("header.head", h("h2", badge(found.kind, found.kind), h("span", found.probe || found.function || found.kind), found.status && badge(found.status)),
      h("p.where", [found.file && found.file + (found.line && `:${found.line}`), found.function].filter(Boolean).join("  ·  ")), refusal(found.request)),
    h("div.tabs", { role: "tablist", "aria-label": "Views" }, Object.entries(TABS).map(([key, [title]]) =>
      button(title, () => go({ tab: key, compare: "" }), { role: "tab", "data-tab": key, "aria-selected": `${key === tab && !isCompared}` }))),
    h("div.content", { role: "tabpanel", "aria-label": "Payload" }, await (isCompared ? comparison : TABS[tab][1])(found)),
  ];
}

function bar(buttons) {
  const close = () => openOne("");
  return h("div.detail-bar", button("‹ Close", close, { class: "close" }), h("span.grow"), buttons);
}

const copying = (what) => button("Copy as curl", () => copyFrom(`${what}/curl`, "curl command"), { id: "curl" });

const where = (one) => one.path + (one.query && `?${one.query}`);
const answered = (one) => (one.status ? `Answered ${one.status}` : "Got no answer") + (one.problem && `: ${one.problem}`);
const refusal = (one) => one.problem && h("p.problem", answered(one));
const section = (title, ...children) => h("section", h("h3", title), ...children);

function frame({ id, frame: { message, facts: told, problems, stack, tree } }) {
  const shownFacts = told.map(([name, text]) => [name, name === "time" ? moment(Number(text)) : mark(text)]);
  return [
    message && h("p.message", mark(message)), facts(shownFacts), problems.map(banner),
    h("div.frame", tree && section(tree.title, new Tree(tree, { id: { payload: id }, query: shown.text }).element), stack.length > 0 && section(`Stack (${stack.length})`, frames(stack))),
  ];
}

function banner({ title, text, stack }) {
  return h("div.banner", h("strong", mark(title)), " ", mark(text), stack.length > 0 && h("details", h("summary", `Where it was thrown (${stack.length})`), frames(stack)));
}

function frames(stack) {
  return h("ol.stack", stack.map(({ function: name, file, line }) => h("li", h("span.name", mark(name || "?")), h("span.where", mark(file || "?"), line && h("b", `:${line}`)))));
}

async function json({ id }) {
  const tree = await ask(`payloads/${id}/tree`);
  const open = (node) => !node.parent.parent || !node.parent.parent.parent;
  return new Tree(tree, { id: { payload: id }, query: shown.text, open }).element;
}

async function raw({ id }) {
  const { parts } = await ask(`payloads/${id}/parts`);
  return parts.map(({ name, text }) => {
    const pre = h("pre.raw", { tabindex: 0, "aria-label": name || "As received" });
    const fill = (end) => pre.replaceChildren(...mark(text.slice(0, end)));
    fill(FIRST);
    const more = text.length > FIRST && button(`Show all ${plural(text.length, "character")}`, () => { fill(); more.remove(); });
    return h("section", name && h("h3", name), h("p.quiet", `${count(new Blob([text]).size)} bytes, as they were received`), pre, more);
  });
}

const mark = (text) => marked(text, shown.text);
const findings = async (id) => (await ask(`findings?ids=${id}`))[id] ?? [];

async function odd({ id }) {
  const some = await findings(id);
  return some.length ? h("ul.findings", some.map((one) => h("li", one))) : h("p.quiet", "No findings.");
}

function aboutRequest({ request: one, headers }) {
  return [h("p.where", where(one)), aboutOne(one, headers), button("Open this request", () => openOne(`r${one.number}`))];
}

function aboutOne(one, headers) {
  return [
    facts([["request", String(one.number)], ["mode", one.mode], ["came", moment(one.at * 1000)],
      ["size", `${count(one.size)} bytes`], ["payloads", count(one.payloads)], ["outcome", answered(one)]]),
    one.tags && h("p.tags", one.tags.split(",").map((tag) => h("span.tag", mark(tag)))),
    section("Headers", pre("Headers", Object.entries(headers).map(([name, value]) => `${name}: ${value}`).join("\n"))),
  ];
}

const pre = (label, text) => h("pre.raw", { tabindex: 0, "aria-label": label }, text);

async function request(number) {
  const found = await ask(`requests/${number}`);
  return [
    bar([copying(`requests/${number}`), h("a.button", { href: `/intake/requests/${number}/body`, download: "" }, "Body")]),
    h("header.head", h("h2", `Request ${found.number}`), h("p.where", where(found)), refusal(found)),
    h("div.content", aboutOne(found, found.headers), found.body && section("Body", pre("Body", found.body)),
      found.rows.length > 0 && section(`Payloads (${count(found.payloads)})`,
        h("div.inner-list", found.rows.map((row) => h("button.as-row", { type: "button", click: () => openOne(row.id) }, payloadRow(row)))))),
  ];
}

const alike = ({ probe, service }) => ask(`payloads?${new URLSearchParams({ kind: "snapshot", probe, service })}`);

async function compareWithOlder(found) {
  const { payloads } = await alike(found);
  const place = payloads.findIndex((one) => one.id === found.id);
  const other = payloads[place + 1] ?? payloads.find((one) => one.id !== found.id);
  if (other) go({ compare: other.id }, { step: true });
  else toast("No other snapshot of this probe");
}

async function comparison(found) {
  const id = { payload: found.id, before: shown.compare };
  const [{ counts, nodes, all, pointer }, { payloads }] = await Promise.all([ask(`payloads/${found.id}/since/${id.before}`), alike(found)]);
  const place = h("div");
  const draw = (some) => place.replaceChildren(new Tree({ title: "what changed", nodes: some, pointer }, { id, open: (node) => node.change !== "added" && node.change !== "removed" }).element);
  draw(nodes);
  const same = h("input", { type: "checkbox", change: () => draw(same.checked ? all : nodes) });
  const select = h("select", { id: "compare-with", change: () => go({ compare: select.value }) }, payloads.filter((one) => one.id !== found.id).map((one) =>
    h("option", { value: one.id, selected: one.id === id.before }, `${moment(one.timestamp ?? one.at * 1000).textContent}  ${one.id}`)));
  return [
    h("div.compare", h("label", { for: "compare-with" }, "Since the snapshot of "), select,
      h("span.legend", h("span.added", `${counts.added} added`), h("span.removed", `${counts.removed} gone`), h("span.changed", `${counts.changed} changed`)),
      h("label", same, " also unchanged values")), place,
  ];
}

function sendAgain(id) {
  const [dialog, form] = [at("send"), at("send-form")];
  at("send-said").textContent = "";
  form.onsubmit = async (event) => {
    event.preventDefault();
    const url = at("send-url").value;
    const answer = await ask("send", { method: "POST", body: JSON.stringify({ id, url }) }).catch((error) => ({ problem: error.message }));
    at("send-said").textContent = answer.sent ? "Accepted." : answer.problem;
  };
  dialog.showModal();
}
