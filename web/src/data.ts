/** Two classes of points in the plane, 100 each, every coordinate of mean 0 and mean square 1; and 8 x 8 digits. */

import { fill, stream } from "./numerics/draws";

export interface Data {
  readonly name: string;
  /** (rows, features). */
  readonly x: Float64Array;
  readonly y: Int32Array;
  readonly features: number;
  readonly classes: number;
}

export const ROWS = 200;

export const DATA_NAMES = [
  ["circles", "two circles"],
  ["moons", "two moons"],
  ["xor", "xor"],
  ["spiral", "two spirals"],
  ["blobs", "two blobs"],
  ["digits", "8×8 digits"],
] as const;

type Point = readonly [number, number];

/** A point of a class at a place t in [0, 1), given two normal numbers and two uniform ones in (-1/2, 1/2). */
type Shape = (label: number, t: number, g: Point, u: Point) => Point;

const SHAPES: Record<string, Shape> = {
  circles: (label, t, [g0, g1]) => {
    const radius = label === 0 ? 1 : 0.45;
    return [radius * Math.cos(2 * Math.PI * t) + 0.07 * g0, radius * Math.sin(2 * Math.PI * t) + 0.07 * g1];
  },
  moons: (label, t, [g0, g1]) => {
    const angle = Math.PI * t;
    const [x, y] = label === 0 ? [Math.cos(angle), Math.sin(angle)] : [1 - Math.cos(angle), 0.5 - Math.sin(angle)];
    return [x + 0.1 * g0, y + 0.1 * g1];
  },
  xor: (label, t, _g, [u0, u1]) => {
    const x = (0.06 + Math.abs(u0) * 1.9) * (t < 0.5 ? 1 : -1);
    const y = 0.06 + Math.abs(u1) * 1.9;
    return [x, y * Math.sign(x) * (label === 0 ? 1 : -1)];
  },
  spiral: (label, t, [g0, g1]) => {
    const angle = 3.2 * Math.PI * Math.sqrt(0.03 + 0.97 * t) + Math.PI * label;
    const radius = Math.sqrt(0.03 + 0.97 * t);
    return [radius * Math.cos(angle) + 0.02 * g0, radius * Math.sin(angle) + 0.02 * g1];
  },
  blobs: (label, _t, [g0, g1]) => (label === 0 ? [1 + 0.5 * g0, 0.6 + 0.5 * g1] : [-1 + 0.5 * g0, -0.6 + 0.5 * g1]),
};

/** Points of a seed, the classes in turn. */
export function makePoints(name: string, seed: number): Data {
  const shape = SHAPES[name] ?? SHAPES["circles"];
  const normal = new Float64Array(2 * ROWS);
  const flat = new Float64Array(2 * ROWS);
  fill({ family: "normal", sigma: 1 }, stream(seed, `page/${name}/normal`, "data"), normal);
  fill({ family: "uniform", low: -0.5, high: 0.5 }, stream(seed, `page/${name}/uniform`, "data"), flat);
  const x = new Float64Array(2 * ROWS);
  const y = new Int32Array(ROWS);
  for (let r = 0; r < ROWS; r++) {
    y[r] = r % 2;
    const t = Math.floor(r / 2) / (ROWS / 2);
    const point = shape(y[r], t, [normal[2 * r], normal[2 * r + 1]], [flat[2 * r], flat[2 * r + 1]]);
    x.set(point, 2 * r);
  }
  standardise(x, 2);
  return { name, x, y, features: 2, classes: 2 };
}

/** Each column to mean 0; all of them together to mean square 1 where they are pixels, else each. */
function standardise(x: Float64Array, features: number, together = false): void {
  const rows = x.length / features;
  let all = 0;
  const spread = new Float64Array(features);
  for (let j = 0; j < features; j++) {
    let mean = 0;
    for (let k = j; k < x.length; k += features) mean += x[k] / rows;
    for (let k = j; k < x.length; k += features) {
      x[k] -= mean;
      spread[j] += (x[k] * x[k]) / rows;
    }
    all += spread[j] / features;
  }
  for (let k = 0; k < x.length; k++) x[k] /= Math.sqrt(together ? all : spread[k % features]) || 1;
}

/** Digits from text: of each its class and 64 letters, a for 0 to q for 16. */
export function readDigits(text: string): Data {
  const rows = Math.floor(text.length / 65);
  const x = new Float64Array(64 * rows);
  const y = new Int32Array(rows);
  for (let r = 0; r < rows; r++) {
    y[r] = text.charCodeAt(65 * r) - 48;
    for (let j = 0; j < 64; j++) x[64 * r + j] = text.charCodeAt(65 * r + 1 + j) - 97;
  }
  standardise(x, 64, true);
  return { name: "digits", x, y, features: 64, classes: 10 };
}
