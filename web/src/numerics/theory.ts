/**
 * A wide network at its first step: moments, maps of variance and correlation, fixed points, edge of chaos.
 *
 * Sources: Poole et al., arXiv 1606.05340; Schoenholz et al., arXiv 1611.01232.
 */

import type { Activation } from "./activations";

const NODES = 20;
const ENDS = [0, 0.5, 1.25, 2.25, 3.5, 5.5, 8, 11];
const TERMS = 100;
const SAME = 1e-12;
const FAINTEST = 1e-12;
const LOUDEST = 1e12;

/** Nodes and weights of Gauss and Legendre on (-1, 1), by Newton's method. */
function legendre(n: number): readonly (readonly [number, number])[] {
  return Array.from({ length: n }, (_, i) => {
    let x = Math.cos((Math.PI * (i + 0.75)) / (n + 0.5));
    let rate = 1;
    for (let again = 0; again < 100; again++) {
      let before = 1;
      let now = x;
      for (let k = 2; k <= n; k++) [before, now] = [now, ((2 * k - 1) * x * now - (k - 1) * before) / k];
      rate = (n * (x * now - before)) / (x * x - 1);
      const step = now / rate;
      x -= step;
      if (Math.abs(step) < 1e-16) break;
    }
    return [x, 2 / ((1 - x * x) * rate * rate)] as const;
  });
}

const RULE = legendre(NODES);

/** Nodes and weights under the standard normal; a function of sqrt(q) z has panels where it bends. */
function gaussian(q: number): { z: Float64Array; weight: Float64Array } {
  const scale = Math.sqrt(q);
  const inner = scale > 2 ? [1 / scale, 4 / scale].filter((end) => end < 8) : [];
  const ends = [...ENDS, ...inner].sort((a, b) => a - b).filter((end, i, all) => i === 0 || end - all[i - 1] > 1e-9);
  const count = 2 * NODES * (ends.length - 1);
  const z = new Float64Array(count);
  const weight = new Float64Array(count);
  let at = 0;
  for (let panel = 0; panel + 1 < ends.length; panel++) {
    const half = (ends[panel + 1] - ends[panel]) / 2;
    for (const [x, w] of RULE) {
      for (const side of [-1, 1]) {
        z[at] = side * (ends[panel] + half + half * x);
        weight[at] = (w * half * Math.exp(-0.5 * z[at] * z[at])) / Math.sqrt(2 * Math.PI);
        at++;
      }
    }
  }
  return { z, weight };
}

/** `E f`, `E f^2` and `E f'^2` under N(0, q). */
export interface Moments {
  readonly mean: number;
  readonly second: number;
  readonly slope: number;
}

/** Moments of an activation under N(0, q), q 0 or more, to about 1e-10. */
export function moments(f: Activation, q: number): Moments {
  if (f.below !== undefined) {
    const half = (1 + f.below * f.below) / 2;
    return { mean: (1 - f.below) * Math.sqrt(q / (2 * Math.PI)), second: q * half, slope: half };
  }
  const { z, weight } = gaussian(q);
  const scale = Math.sqrt(q);
  let mean = 0;
  let second = 0;
  let slope = 0;
  for (let i = 0; i < z.length; i++) {
    const x = scale * z[i];
    const y = f.value(x);
    const d = f.slope(x, y);
    mean += weight[i] * y;
    second += weight[i] * y * y;
    slope += weight[i] * d * d;
  }
  return { mean, second, slope };
}

/** `E f(u) f(v)` for u, v ~ N(0, q) of correlation c: in closed form for two straight lines, else by Hermite's series. */
export function pairMoment(f: Activation, c: number, q: number): number {
  if (f.below !== undefined) {
    const angle = Math.acos(Math.min(Math.max(c, -1), 1));
    const relu = (Math.sqrt(Math.max(1 - c * c, 0)) + (Math.PI - angle) * c) / (2 * Math.PI);
    const b = f.below;
    return q * ((1 - b) * (1 - b) * relu + b * c);
  }
  const { z, weight } = gaussian(q);
  const scale = Math.sqrt(q);
  const sums = new Float64Array(TERMS);
  let whole = 0;
  for (let i = 0; i < z.length; i++) {
    const y = f.value(scale * z[i]);
    whole += weight[i] * y * y;
    let before = 0;
    let now = 1;
    for (let k = 0; k < TERMS; k++) {
      sums[k] += weight[i] * y * now;
      const next = (z[i] * now - Math.sqrt(k) * before) / Math.sqrt(k + 1);
      before = now;
      now = next;
    }
  }
  let total = 0;
  let power = 1;
  for (let k = 0; k < TERMS; k++) {
    total += sums[k] * sums[k] * power;
    whole -= sums[k] * sums[k];
    power *= c;
  }
  return total + Math.max(whole, 0) * power;
}

/** `sigma_w^2 E f(sqrt(q) z)^2 + sigma_b^2`. */
export function varianceMap(f: Activation, q: number, weight: number, bias: number): number {
  return weight * moments(f, q).second + bias;
}

/** `sigma_w^2 E f'(sqrt(q) z)^2`: the factor of a squared gradient from one layer to the one before it. */
export function chi1(f: Activation, weight: number, q: number): number {
  return weight * moments(f, q).slope;
}

/** The gain that keeps E[z^2] at 1 from layer to layer: `1 / sqrt(E f(z)^2)`. */
export function forwardGain(f: Activation): number {
  return 1 / Math.sqrt(moments(f, 1).second);
}

/** The root of a continuous function between two ends of unlike sign. */
function root(surplus: (x: number) => number, low: number, high: number): number {
  let [a, b] = [low, high];
  const rises = surplus(b) > 0;
  for (let i = 0; i < 200 && b - a > 1e-14 * b; i++) {
    const middle = (a + b) / 2;
    if (surplus(middle) > 0 === rises) b = middle;
    else a = middle;
  }
  return (a + b) / 2;
}

/** The variance that a signal of variance 1 runs into; 0 where it dies out, infinity where it grows beyond 1e12. */
export function qStar(f: Activation, weight: number, bias: number): number {
  const surplus = (q: number): number => varianceMap(f, q, weight, bias) / q - 1;
  const start = surplus(1);
  if (Math.abs(start) < 1e-10) return 1;
  const factor = start > 0 ? 1.5 : 1 / 1.5;
  for (let q = 1; q > FAINTEST && q < LOUDEST; q *= factor) {
    if (surplus(q * factor) > 0 !== start > 0) return root(surplus, Math.min(q, q * factor), Math.max(q, q * factor));
  }
  return start > 0 ? Infinity : 0;
}

/** A point of the edge of chaos, as standard deviations. */
export interface EdgePoint {
  readonly sigmaW: number;
  readonly sigmaB: number;
  readonly q: number;
}

/** The edge of chaos, `chi_1 = 1`, from small to large q, where it needs no negative variance of a bias. */
export function edgeCurve(f: Activation, points = 60): EdgePoint[] {
  const found: EdgePoint[] = [];
  for (let i = 0; i < points; i++) {
    const q = 1e-4 * (1e3 / 1e-4) ** (i / (points - 1));
    const { second, slope } = moments(f, q);
    const weight = 1 / slope;
    const bias = q - weight * second;
    if (bias >= -1e-12 * q) found.push({ sigmaW: Math.sqrt(weight), sigmaB: Math.sqrt(Math.max(bias, 0)), q });
  }
  return found;
}

/** Moments at variances a factor of 1.25 apart, from which `chi_1` over a plane is read quickly. */
export function momentTable(f: Activation): readonly { q: number; second: number; slope: number }[] {
  return Array.from({ length: 104 }, (_, i) => {
    const q = 1e-5 * 1.25 ** i;
    return { q, ...moments(f, q) };
  });
}

/** `chi_1` where a signal of variance 1 settles, to about 1e-2; where it dies out or explodes, that at 1e-5 or 1e5. */
export function chiFromTable(table: ReturnType<typeof momentTable>, weight: number, bias: number): number {
  const surplus = (i: number): number => (weight * table[i].second + bias) / table[i].q - 1;
  let at = table.findIndex((row) => row.q >= 1);
  const start = surplus(at);
  if (Math.abs(start) < SAME) return weight * table[at].slope;
  const step = start > 0 ? 1 : -1;
  for (; at + step >= 0 && at + step < table.length; at += step) {
    const next = surplus(at + step);
    if (next > 0 !== start > 0) {
      const share = surplus(at) / (surplus(at) - next);
      return weight * (table[at].slope + share * (table[at + step].slope - table[at].slope));
    }
  }
  return weight * table[at].slope;
}
