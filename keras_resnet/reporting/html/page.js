"use strict";
// Makes the tables sortable.

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
