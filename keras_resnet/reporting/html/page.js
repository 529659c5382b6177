// Puts the curves and their switches into the page, and makes the tables sortable.

function build(panel, position) {
  const { figure } = panel;
  const title = figure.querySelector("figcaption").textContent;
  figure.hidden = false;
  panel.clip = `clip-${position}`;
  const label = `${title} over iterations, a curve for each run`;
  panel.svg = add(figure, "svg", { role: "img", tabindex: "0", "aria-label": label });
  panel.readout = add(figure, "div", { class: "readout", role: "status" });
  listen(panel);
}

function buildTools() {
  const legend = document.querySelector(".legend");
  for (const run of runs) {
    const button = add(legend, "button", { type: "button", "aria-pressed": "true" });
    add(button, "span", { class: `swatch ${run.look}` });
    button.append(run.label);
    button.addEventListener("click", () => {
      if (!view.hidden.delete(run)) view.hidden.add(run);
      button.setAttribute("aria-pressed", String(!view.hidden.has(run)));
      drawAll();
    });
  }
  const listenTo = (id, kind, change) => document.getElementById(id).addEventListener(kind, ({ target }) => {
    change(target);
    drawAll();
  });
  listenTo("log", "change", (box) => { view.log = box.checked; });
  listenTo("smoothing", "input", (slide) => { view.smoothing = Number(slide.value); });
  listenTo("reset", "click", () => { view.range = null; });
}

/** Sorts a table by a column: numbers by size, and what has no value last. */
function sort(table, column, descending) {
  const body = table.tBodies[0];
  const numbers = table.tHead.rows[0].cells[column].matches(".number");
  const key = (row) => row.cells[column].dataset.value;
  const compare = numbers ? (a, b) => a - b : (a, b) => a.localeCompare(b);
  const rows = [...body.rows].sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return descending ? compare(b, a) : compare(a, b);
  });
  body.append(...rows);
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sort(table, column, descending);
    });
  });
}

document.querySelectorAll("table.sortable").forEach(makeSortable);
panels.forEach(build);
if (panels.length) {
  document.querySelectorAll(".tools, .keys").forEach((part) => { part.hidden = false; });
  buildTools();
  drawAll();
  const area = document.querySelector(".panels");
  let drawnWidth = area.clientWidth;
  new ResizeObserver(() => {
    if (area.clientWidth !== drawnWidth) drawAll();
    drawnWidth = area.clientWidth;
  }).observe(area);
}
