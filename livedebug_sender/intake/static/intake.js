// The page: asks once a second what is new, and shows it.

import { badge, clock, fold, make, plural, size } from "./dom.js";
import { payload } from "./payloads.js";
import { drawRate } from "./rate.js";

const EVERY = 1000; // milliseconds
const MOST_ROWS = 600;
const at = (id) => document.getElementById(id);
const filters = at("filters");
const list = at("requests");

let newest = 0;
let epoch = "";
let asked = 0; // counts questions, so that a late answer to an old one is dropped
let paused = false;
let timer = 0;
let typing = 0;
let shownFor = query().toString(); // the filters that the list was made for

function query(more = {}) {
  return new URLSearchParams({ ...Object.fromEntries(new FormData(filters)), ...more });
}

async function ask() {
  clearTimeout(timer);
  const mine = ++asked;
  const news = await fetchNews();
  if (mine !== asked) return;
  if (!paused) timer = setTimeout(ask, EVERY);
  if (!news) {
    say("the intake does not answer", "gone");
    return;
  }
  say(paused ? "paused" : "live", paused ? "" : "live");
  show(news);
}

/** What is new since the last time; null if there is no answer. */
async function fetchNews() {
  try {
    const answer = await fetch(`/page/news?${query({ after: newest, epoch })}`);
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

function say(words, kind) {
  if (at("state").textContent !== words) at("state").textContent = words;
  at("state").className = `state ${kind}`;
}

/** Not at each key; and once for what some browsers tell twice (input and change). */
function filterSoon() {
  clearTimeout(typing);
  typing = setTimeout(() => {
    if (query().toString() !== shownFor) startOver();
  }, 150);
}

function startOver() {
  shownFor = query().toString();
  newest = 0;
  list.replaceChildren();
  ask();
}

function show(news) {
  if (news.epoch !== epoch) list.replaceChildren();
  epoch = news.epoch;
  newest = news.newest;
  for (const row of [...list.children]) {
    if (Number(row.dataset.number) < news.oldest) row.remove();
  }
  list.prepend(...news.listed.reverse().map(request));
  while (list.children.length > MOST_ROWS) list.lastElementChild.remove();
  at("shown").textContent = `${list.children.length} shown`;
  totals(news.totals, news.held);
  drawRate(at("rate"), at("rate-words"), news.rate, news.columnSeconds);
  if (news.probes) {
    probes(news.probes);
    options(at("service"), news.services);
    options(at("probe"), [...new Set(news.probes.map((one) => one.probe))].sort());
  }
  emptiness(news.totals.requests);
}

function request(found) {
  const what = found.problem || found.message || found.probes.join(", ") || found.path;
  const good = found.status < 300;
  const row = fold("request", [
    make("time", { title: new Date(found.at * 1000).toISOString() }, clock(found.at * 1000)),
    make("span", {}, ...(found.tracks.length ? found.tracks.map((track) => badge(track)) : [badge("unreadable", "ERROR")])),
    make("span", { class: `what${found.problem ? " bad" : ""}` }, what,
      make("span", { class: "tags", title: found.tags }, found.tags.replaceAll(",", "  "))),
    make("span", { class: "quiet" }, found.mode),
    make("span", { class: "number", title: "payloads" }, String(found.payloads)),
    make("span", { class: "number", title: `${found.bytes} bytes` }, size(found.bytes)),
    make("span", { class: `number ${good ? "good" : "bad"}` }, String(found.status)),
  ], () => inside(found));
  row.dataset.number = found.number;
  return row;
}

function inside(found) {
  const box = make("div", { class: "inside" }, make("p", { class: "quiet" }, "loading"));
  open(found, box).catch((error) => box.replaceChildren(make("p", { class: "problem" }, error.message)));
  return box;
}

async function open(found, box) {
  const answer = await fetch(`/page/requests/${found.number}?${query()}`);
  const details = await answer.json();
  if (!answer.ok) throw new Error(details.errors.join("; "));
  const tags = details.tags.split(",").filter(Boolean);
  const shown = details.payloads;
  const parts = [make("p", {}, make("code", {}, `POST ${details.path}`), " ",
    ...tags.map((tag) => make("span", { class: "tag" }, tag)))];
  if (details.problem) parts.push(make("p", { class: "problem" }, details.problem));
  if (details.body) parts.push(make("pre", {}, details.body));
  if (shown.length < found.payloads) {
    parts.push(make("p", { class: "quiet" }, `${shown.length} of ${plural(found.payloads, "payload")} fit the filters`));
  }
  parts.push(...shown.map((one) => payload(one, shown.length === 1)));
  parts.push(fold("raw", ["Headers"], () => make("pre", {},
    Object.entries(details.headers).map(([name, value]) => `${name}: ${value}`).join("\n"))));
  box.replaceChildren(...parts);
}

function totals(counts, held) {
  const shown = [["requests", counts.requests, ""]];
  for (const track of ["snapshots", "logs", "diagnostics", "symdb"]) {
    shown.push([track, counts.tracks[track] ?? 0, `t-${track}`]);
  }
  shown.push(["received", size(counts.bytes), ""]);
  if (counts.refused) shown.push(["refused", counts.refused, "t-refused"]);
  if (counts.elsewhere) shown.push(["to other paths", counts.elsewhere, ""]);
  if (counts.forgotten) shown.push(["no longer kept", counts.forgotten, ""]);
  shown.push(["in memory", size(held.bytes), ""]);
  at("totals").replaceChildren(...shown.map(([name, value, kind]) => make("div", {},
    make("dt", {}, name),
    make("dd", { class: kind, id: `total-${name.replaceAll(" ", "-")}` }, value.toLocaleString("en")))));
}

function probes(found) {
  const open = new Set([...at("probes").querySelectorAll("details[open]")].map((one) => one.dataset.key));
  const focused = document.activeElement?.closest?.(".probe")?.dataset.key;
  at("probe-count").textContent = found.length ? String(found.length) : "";
  at("probes").replaceChildren(...found.map((one) => {
    const key = JSON.stringify([one.service, one.probe]);
    const box = probe(one, open.has(key));
    box.dataset.key = key;
    return box;
  }));
  if (!found.length) at("probes").append(make("p", { class: "quiet" }, "No probe was heard of yet."));
  const again = focused && [...at("probes").children].find((one) => one.dataset.key === focused);
  if (again) again.querySelector("summary").focus();
}

function probe(one, open) {
  const counts = Object.entries(one.counts).filter(([kind]) => kind !== "status");
  const title = [make("strong", {}, one.probe), " "];
  if (one.status) title.push(badge(one.status), " ");
  title.push(make("span", { class: "quiet" }, counts.map(([kind, n]) => plural(n, kind)).join(", ")));
  return fold("probe", title, () => {
    const only = make("button", { type: "button" }, "Only this probe");
    only.addEventListener("click", () => {
      options(at("probe"), [one.probe], true);
      at("probe").value = one.probe;
      startOver();
    });
    const history = one.history.map((said) => make("li", {},
      make("time", {}, clock(said.at * 1000)), badge(said.status), " ", said.message));
    return make("div", { class: "inside" }, make("p", { class: "quiet" }, one.service),
      make("ol", { class: "history" }, ...history), only);
  }, open);
}

/** Offer these values in a filter, and what is chosen now in any case. */
function options(select, values, keep = false) {
  const before = keep ? [...select.options].map((one) => one.value) : [select.value];
  const wanted = [...new Set([...before, ...values])].filter(Boolean);
  const chosen = select.value;
  select.replaceChildren(make("option", { value: "" }, "all"),
    ...wanted.map((value) => make("option", { value }, value)));
  select.value = chosen;
}

function emptiness(requests) {
  at("empty").hidden = list.children.length > 0;
  if (requests) {
    at("empty").replaceChildren("Nothing that is kept fits the filters.");
    return;
  }
  at("empty").replaceChildren(
    make("p", {}, "Nothing has arrived yet. Point a tracer here:"),
    make("pre", {}, `DD_TRACE_AGENT_URL=${location.origin}`),
    make("p", {}, "or send the samples: "),
    make("pre", {}, `livedebug-sender demo --agent ${location.origin}`));
}

filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("input", filterSoon);
filters.addEventListener("change", filterSoon);
filters.addEventListener("reset", () => setTimeout(startOver));
at("pause").addEventListener("click", () => {
  paused = !paused;
  at("pause").setAttribute("aria-pressed", String(paused));
  at("pause").textContent = paused ? "Go on" : "Pause";
  say(paused ? "paused" : "live", paused ? "" : "live");
  if (paused) clearTimeout(timer);
  else ask();
});
at("clear").addEventListener("click", async () => {
  await fetch("/page/clear", { method: "POST" });
  startOver();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.matches("input, select")) {
    event.preventDefault();
    at("text").focus();
  }
});
ask();
