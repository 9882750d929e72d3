// The picture of the rate: a stacked column for each few seconds.

const SVG = "http://www.w3.org/2000/svg";
const KINDS = ["snapshots", "logs", "diagnostics", "symdb", "refused"];
const WIDTH = 6;
const HEIGHT = 48;

export function drawRate(svg, words, columns, seconds) {
  const sums = columns.map((column) => Object.values(column).reduce((a, b) => a + b, 0));
  const peak = Math.max(...sums);
  const bars = columns.flatMap((column, n) => bar(column, n, Math.max(peak, 4)));
  svg.setAttribute("viewBox", `0 0 ${columns.length * WIDTH} ${HEIGHT}`);
  svg.replaceChildren(...bars);
  const span = `last ${(columns.length * seconds) / 60} min`;
  words.textContent = `payloads, ${span}; peak ${peak.toLocaleString("en")} in ${seconds} s`;
  svg.setAttribute("aria-label", words.textContent);
}

function bar(column, n, top) {
  let y = HEIGHT;
  return KINDS.filter((kind) => column[kind]).map((kind) => {
    const height = (column[kind] / top) * HEIGHT;
    y -= height;
    const rect = document.createElementNS(SVG, "rect");
    const shape = { class: `b-${kind}`, x: n * WIDTH, y, width: WIDTH - 1, height };
    for (const [name, value] of Object.entries(shape)) rect.setAttribute(name, value);
    return rect;
  });
}
