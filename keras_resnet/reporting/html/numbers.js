"use strict";
// Arithmetic of the curves. The files of the program are joined into one: numbers, curves, page.

/** An exponential mean over the points before, without a bias to the first; a gap stays a gap. */
function smoothed(points, weight) {
  let sum = 0, mass = 0;
  return points.map(([x, y]) => {
    if (y === null) return [x, y];
    sum = weight * sum + (1 - weight) * y;
    mass = weight * mass + (1 - weight);
    return [x, sum / mass];
  });
}

/** The position of the last point at or before x; -1 before the first. */
function positionAt(points, x) {
  let low = 0, high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Round numbers between two others: multiples of 1, 2 or 5 times a power of ten. */
function ticks(low, high, count) {
  const power = 10 ** Math.floor(Math.log10((high - low) / count));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => (high - low) / size <= count);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, k) => Number(((first + k) * step).toPrecision(12)));
}

function logTicks(low, high, count) {
  const decades = Math.log10(high / low);
  const digits = decades > count / 2 ? [1] : decades > count / 3 ? [1, 3] : [1, 2, 5];
  const found = [];
  for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.log10(high); exponent++) {
    found.push(...digits.map((digit) => Number((digit * 10 ** exponent).toPrecision(3))));
  }
  const inside = found.filter((value) => value >= low && value <= high);
  return inside.length > 1 ? inside : ticks(low, high, count);
}

/** A map from values to pixels; `scale.back` is its inverse. On a log scale, 0 lies far outside. */
function makeScale([low, high], [start, end], log = false) {
  const turn = log ? (value) => Math.log10(Math.max(value, 1e-30)) : Number;
  const ratio = (end - start) / (turn(high) - turn(low));
  const scale = (value) => start + (turn(value) - turn(low)) * ratio;
  scale.back = (pixel) => (log ? 10 ** (turn(low) + (pixel - start) / ratio) : low + (pixel - start) / ratio);
  return scale;
}
