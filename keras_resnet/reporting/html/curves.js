// Draws the curves and shows their values. Text of runs enters the page as text alone, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 10, right: 26, bottom: 40, left: 52 };
const CLICK = 6; // pixels that a hand may move in a click
const NOISY = new Set(["training_error", "loss"]); // what is smoothed
const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

const runs = JSON.parse(document.getElementById("data").textContent);
const view = { range: null, log: false, smoothing: 0, hidden: new Set(), cursor: null };
const panels = [...document.querySelectorAll("figure[data-thin]")]
  .map((figure) => ({ figure, kinds: [["training", figure.dataset.thin], ["validation", figure.dataset.bold]] }))
  .filter(({ kinds }) => runs.some((run) => kinds.some(([, name]) => run.curves[name])));

function add(parent, tag, attributes = {}, text = "") {
  const drawn = tag === "svg" || parent.namespaceURI === SVG;
  const child = drawn ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) child.setAttribute(name, value);
  if (text !== "") child.textContent = text;
  return parent.appendChild(child);
}

/** The curves of a panel that are to be seen: what was measured, and what is drawn of it. */
function curvesOf(panel) {
  const found = [];
  for (const run of runs.filter((one) => !view.hidden.has(one))) {
    for (const [kind, name] of panel.kinds.filter(([, one]) => run.curves[one])) {
      const measured = run.curves[name], smooth = NOISY.has(name) && view.smoothing;
      found.push({ run, kind, measured, drawn: smooth ? smoothed(measured, view.smoothing) : measured });
    }
  }
  return found;
}

function everyIteration() {
  const ends = runs.flatMap((run) => Object.values(run.curves).flatMap((points) => [points[0][0], points.at(-1)[0]]));
  return [Math.min(0, ...ends), Math.max(1, ...ends)];
}

function yDomain(curves, [from, to]) {
  const usable = (y) => y !== null && (!view.log || y > 0);
  const points = curves.flatMap(({ drawn }) => drawn).filter(([x, y]) => x >= from && x <= to && usable(y));
  if (!points.length) return [0.1, 1];
  const [low, high] = points.reduce(([a, b], [, y]) => [Math.min(a, y), Math.max(b, y)], [Infinity, -Infinity]);
  if (view.log) return [low / 1.15, high * 1.15];
  const room = (high - low) * 0.06 || high * 0.1 || 1;
  return [view.range && low > room ? low - room : Math.min(0, low), high + room];
}

function pathOf(points, x, y) {
  let path = "", pen = false;
  for (const [iteration, value] of points) {
    // A point between two gaps is a dot, as every line begins with one.
    if (value !== null) path += `${pen ? "L" : "M"}${x(iteration).toFixed(1)} ${y(value).toFixed(1)}${pen ? "" : "h0"}`;
    pen = value !== null;
  }
  return path;
}

function draw(panel) {
  const { figure } = panel;
  const width = Math.max(260, figure.clientWidth - 24);
  const height = figure.matches(".wide") ? Math.round(Math.min(420, Math.max(250, width * 0.42))) : 240;
  const box = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
  const curves = curvesOf(panel), domain = view.range ?? everyIteration(), values = yDomain(curves, domain);
  const x = makeScale(domain, [box.left, box.right]), y = makeScale(values, [box.bottom, box.top], view.log);
  panel.svg.replaceChildren();
  panel.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const clip = add(add(panel.svg, "clipPath", { id: panel.clip }), "rect");
  const area = { x: box.left, y: box.top - 2, width: box.right - box.left, height: box.bottom - box.top + 4 };
  for (const [name, value] of Object.entries(area)) clip.setAttribute(name, value);
  for (const value of (view.log ? logTicks : ticks)(...values, height > 300 ? 7 : 5)) {
    add(panel.svg, "line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) });
    add(panel.svg, "text", { x: box.left - 8, y: y(value) + 4, "text-anchor": "end" }, short.format(value));
  }
  for (const value of ticks(...domain, Math.max(2, Math.floor(width / 75)))) {
    add(panel.svg, "text", { x: x(value), y: box.bottom + 17, "text-anchor": "middle" }, whole.format(value));
  }
  add(panel.svg, "line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom });
  add(panel.svg, "text", { x: box.right, y: height - 6, "text-anchor": "end" }, "iterations");
  const lines = add(panel.svg, "g", { "clip-path": `url(#${panel.clip})` });
  for (const { run, kind, drawn } of curves) {
    const weight = kind === "validation" ? "bold" : "thin";
    add(lines, "path", { class: `curve ${weight} ${run.look}`, d: pathOf(drawn, x, y) });
  }
  Object.assign(panel, { box, curves, x, y, width, iterations: logged(curves, domain), over: add(panel.svg, "g") });
}

function drawAll() {
  panels.forEach(draw);
  document.getElementById("reset").hidden = !view.range;
  point(null);
}

/** The iterations of a range at which something was measured, in order. */
function logged(curves, [from, to]) {
  const all = curves.flatMap(({ measured }) => measured.map(([x]) => x)).filter((x) => x >= from && x <= to);
  return [...new Set(all)].sort((a, b) => a - b);
}

function nearest(iterations, x) {
  return iterations.reduce((best, one) => (Math.abs(one - x) < Math.abs(best - x) ? one : best), iterations[0]);
}

/** What a run had measured by an iteration; null before its first value and after its end. */
function valueAt(curve, iteration) {
  const end = Math.max(...Object.values(curve.run.curves).map((points) => points.at(-1)[0]));
  const position = positionAt(curve.measured, iteration);
  if (position < 0 || iteration > end) return null;
  return { measured: curve.measured[position][1], drawn: curve.drawn[position] };
}

/** Shows an iteration in all panels, and its values in one; null shows nothing. */
function point(iteration, shown = null) {
  view.cursor = iteration;
  for (const panel of panels) {
    panel.over.replaceChildren();
    panel.readout.hidden = iteration === null || panel !== shown;
    if (iteration === null) continue;
    const across = panel.x(iteration);
    add(panel.over, "line", { class: "cursor", x1: across, x2: across, y1: panel.box.top, y2: panel.box.bottom });
    for (const curve of panel.curves) {
      const [x, y] = valueAt(curve, iteration)?.drawn ?? [];
      if (y == null || (view.log && y <= 0) || (view.range && x < view.range[0])) continue;
      const r = curve.kind === "validation" ? 4 : 3;
      add(panel.over, "circle", { class: `dot ${curve.run.look}`, r, cx: panel.x(x), cy: panel.y(y) });
    }
  }
  if (shown && iteration !== null) tell(shown, iteration);
}

function tell(panel, iteration) {
  const readout = panel.readout;
  const kinds = panel.kinds.filter(([, name]) => runs.some((run) => run.curves[name])).map(([kind]) => kind);
  readout.replaceChildren();
  const table = add(readout, "table");
  add(table, "caption", {}, `iteration ${whole.format(iteration)}`);
  if (kinds.length > 1) {
    const head = add(table, "tr");
    ["run", ...kinds].forEach((text) => add(head, "th", { scope: "col" }, text));
  }
  for (const run of new Set(panel.curves.map((curve) => curve.run))) {
    const row = add(table, "tr");
    const name = add(row, "th", { scope: "row" });
    add(name, "span", { class: `swatch ${run.look}` });
    name.append(run.label);
    for (const kind of kinds) {
      const curve = panel.curves.find((one) => one.run === run && one.kind === kind);
      const value = curve && valueAt(curve, iteration);
      add(row, "td", {}, value ? (value.measured === null ? "not finite" : short.format(value.measured)) : "–");
    }
  }
  const frame = panel.figure.getBoundingClientRect(), drawn = panel.svg.getBoundingClientRect();
  const at = drawn.left - frame.left + (panel.x(iteration) / panel.width) * drawn.width;
  const left = at > frame.width / 2 ? at - readout.offsetWidth - 18 : at + 18;
  readout.style.left = `${Math.max(8, Math.min(left, frame.width - readout.offsetWidth - 8))}px`;
}

function listen(panel) {
  const { svg } = panel;
  const across = (event) => {
    const { left, width } = svg.getBoundingClientRect();
    return Math.max(panel.box.left, Math.min(panel.box.right, ((event.clientX - left) * panel.width) / width));
  };
  let start = null;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    start = across(event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    const now = across(event);
    if (panel.iterations.length) point(nearest(panel.iterations, panel.x.back(now)), panel);
    if (start === null || Math.abs(now - start) < CLICK) return;
    const { top, bottom } = panel.box;
    const place = { x: Math.min(start, now), y: top, width: Math.abs(now - start), height: bottom - top };
    add(panel.over, "rect", { class: "selection", ...place });
  });
  svg.addEventListener("pointerup", (event) => {
    const ends = [start, across(event)].sort((a, b) => a - b);
    if (start !== null && ends[1] - ends[0] >= CLICK) zoom(ends.map(panel.x.back));
    start = null;
  });
  svg.addEventListener("pointercancel", () => { start = null; point(null); });
  svg.addEventListener("pointerleave", () => { if (start === null) point(null); });
  svg.addEventListener("dblclick", () => zoom(null));
  svg.addEventListener("blur", () => point(null));
  svg.addEventListener("keydown", (event) => {
    const { iterations } = panel, last = iterations.length - 1;
    const here = view.cursor === null ? -1 : iterations.indexOf(nearest(iterations, view.cursor));
    const steps = { ArrowRight: Math.min(here + 1, last), ArrowLeft: Math.max(here - 1, 0), Home: 0, End: last };
    const there = steps[event.key];
    if (event.key === "Escape") point(null);
    if (there === undefined || last < 0) return;
    event.preventDefault();
    point(iterations[there], panel);
  });
}

/** Shows the iterations of a range; null shows all. */
function zoom(range) {
  view.range = range;
  drawAll();
}
