// The probes by service: which are emitting, which are in error and why, what came of each.

import { go } from "./address.js";
import { button, h, moment, natural, plural } from "./dom.js";
import { badge } from "./rows.js";

const open = new Set(); // histories that are unfolded

/** The list of probes; `probes` as `/intake/probes` gives them. */
export function probeList(probes) {
  if (!probes) return []; // not asked yet
  if (!probes.length) return [h("p.quiet", "No probe has reported yet.")];
  const services = new Map();
  for (const probe of probes) services.set(probe.service, [...(services.get(probe.service) ?? []), probe]);
  return [...services].sort(([a], [b]) => natural(a, b)).map(([service, found]) => {
    const errors = found.filter((one) => one.status === "ERROR").length;
    return h("section.service-group",
      h("h2", service || "(no service)", " ",
        h("span.quiet", plural(found.length, "probe"), errors ? `, ${errors} in error` : "")),
      h("ul", found.sort((a, b) => natural(a.probe, b.probe)).map(probeItem)));
  });
}

function probeItem(probe) {
  const key = JSON.stringify([probe.service, probe.probe]);
  const counts = Object.entries(probe.counts).filter(([kind]) => kind !== "status").map(([kind, n]) => plural(n, kind));
  const history = h("details", { open: open.has(key), toggle: () => (history.open ? open.add(key) : open.delete(key)) },
    h("summary", `History (${probe.history.length})`),
    h("ol.history", probe.history.map((change) => h("li",
      moment(change.at * 1000), badge(change.status), h("span", change.exception || change.message)))));
  return h("li.probe-item",
    h("div.probe-head",
      button(probe.probe, () => go({ view: "", service: probe.service, probe: probe.probe, open: "" }, { step: true }), { class: "link" }),
      probe.status ? badge(probe.status) : "",
      h("span.quiet", counts.join(", "))),
    probe.location ? h("p.where", probe.location) : "",
    probe.why ? h("p.problem", probe.why) : "",
    probe.history.length ? history : "");
}
