/**
 * What theory says of a network of this depth before its first step: signal, gradient and correlation by layer.
 *
 * The recursions of `initlab.theory.chain_signals`, for rows of different lengths (each goes its own way, and the mean
 * is told) and with skips `h = f(z) + h`. Beside a mean that f leaves, the two parts of a skip have a product of their
 * own: `E[h f] = E[h] E[f]`, for the units of a wide layer know each other by their means alone.
 */

import { activation } from "./activations";
import { stdOf } from "./draws";
import { type Arch, hasSkip, NORM_EPSILON } from "./net";
import { lawsOf, type Start } from "./schemes";
import { moments, pairMoment } from "./theory";

/** A number a dense layer, the output's last; empty arrays where theory is silent. */
export interface Course {
  /** E[z^2] of the weighted sums. */
  readonly signal: number[];
  /** The squared norm of the loss's gradient by z over that by the logits. */
  readonly gradient: number[];
  /** Of two inputs at a right angle. */
  readonly correlation: number[];
}

const NOTHING: Course = { signal: [], gradient: [], correlation: [] };

interface Factors {
  readonly q: number[];
  readonly slopes: number[];
  readonly correlation: number[];
}

/** One row's way: q, the factor of a squared gradient from h to z, and the correlation with another such row. */
function follow(arch: Arch, variances: readonly (readonly [number, number])[], square: number): Factors {
  const f = activation(arch.activation);
  const found: Factors = { q: [], slopes: [], correlation: [] };
  // Second moment, mean, and second moment with the other row's, of what the next layer takes.
  let [held, mean, pair] = [square, 0, 0];
  variances.forEach(([weight, bias], i) => {
    const q = weight * held + bias;
    const c = q > 0 ? Math.min((weight * pair + bias) / q, 1) : 1;
    found.q.push(q);
    found.correlation.push(c);
    const shared = arch.norm === "batch" ? weight * mean * mean + bias : 0;
    const variance = q - shared;
    const normed = arch.norm !== "none";
    const u = normed ? variance / (variance + NORM_EPSILON) : q;
    const m = moments(f, u);
    found.slopes.push(normed ? m.slope / (variance + NORM_EPSILON) : m.slope);
    const along = 1 - c < 1e-12 || u === 0 ? m.second : pairMoment(f, c, u);
    if (hasSkip(arch, i)) {
      held += 2 * mean * m.mean + m.second;
      pair += 2 * mean * m.mean + along;
      mean += m.mean;
    } else {
      [held, pair, mean] = [m.second, along, m.mean];
    }
  });
  return found;
}

/**
 * Theory's course of a network.
 *
 * @param squares E[x^2] of the rows' entries, a number for each group of rows of one size.
 */
export function courseOf(arch: Arch, start: Start, squares: readonly number[]): Course {
  const laws = lawsOf(arch, start);
  // Equal weights are no random weights: there is no theory of them here.
  if (laws.some(({ weight }) => stdOf(weight) === 0)) return NOTHING;
  const variances = laws.map(
    ({ weight, bias }, i) => [stdOf(weight) ** 2 * arch.widths[i], stdOf(bias) ** 2] as const,
  );
  const last = variances.length - 1;
  const signal = new Array<number>(last + 1).fill(0);
  const gradient = new Array<number>(last + 1).fill(0);
  for (const square of squares) {
    const way = follow(arch, variances, square);
    let atZ = 1;
    let atH = 0;
    for (let i = last; i >= 0; i--) {
      if (i < last) {
        atH = variances[i + 1][0] * atZ + (hasSkip(arch, i + 1) ? atH : 0);
        atZ = atH * way.slopes[i];
      }
      signal[i] += way.q[i] / squares.length;
      gradient[i] += atZ / squares.length;
    }
  }
  // What batch norm does to two rows hangs on all the others.
  const correlation = arch.norm === "batch" ? [] : follow(arch, variances, 1).correlation;
  return { signal, gradient, correlation };
}

/** Mean squares of so many equal groups of rows, from short rows to long ones. */
export function squaresOf(x: Float64Array, features: number, groups = 10): number[] {
  const rows = x.length / features;
  const squares = Array.from({ length: rows }, (_, r) => {
    let sum = 0;
    for (let j = 0; j < features; j++) sum += x[r * features + j] ** 2;
    return sum / features;
  }).sort((a, b) => a - b);
  return Array.from({ length: groups }, (_, g) => {
    const part = squares.slice(Math.floor((g * rows) / groups), Math.floor(((g + 1) * rows) / groups));
    return part.reduce((sum, one) => sum + one, 0) / Math.max(part.length, 1);
  });
}
