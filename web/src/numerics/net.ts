/**
 * A chain of dense layers, as `initlab.Mlp`: Dense -> (norm) -> activation -> (+ input) -> ..., then a linear output
 * layer and the cross-entropy of its softmax. All arrays are made once; a pass allocates nothing.
 */

import { activation, type Activation } from "./activations";
import { multiply, type Matrix } from "./products";

export type Norm = "none" | "layer" | "batch";

/** A network: sizes from the input to the output, and what stands between its dense layers. */
export interface Arch {
  readonly widths: readonly number[];
  readonly activation: string;
  readonly norm: Norm;
  readonly residual: boolean;
}

/** Keras' default, for both norms. */
export const NORM_EPSILON = 1e-3;

/** Where a layer's numbers lie in the flat array of all; -1 for what it has not. */
export interface Place {
  readonly fanIn: number;
  readonly units: number;
  readonly weight: number;
  readonly bias: number;
  readonly scale: number;
  readonly shift: number;
}

/** The places of every layer's numbers, and how many there are in all. */
export function placesOf(arch: Arch): { places: Place[]; size: number } {
  let size = 0;
  const take = (count: number): number => (size += count) - count;
  const places = arch.widths.slice(1).map((units, i) => {
    const normed = arch.norm !== "none" && i < arch.widths.length - 2;
    const fanIn = arch.widths[i];
    const weight = take(fanIn * units);
    const bias = take(units);
    return { fanIn, units, weight, bias, scale: normed ? take(units) : -1, shift: normed ? take(units) : -1 };
  });
  return { places, size };
}

/** Whether hidden layer i, counted from 0, adds its input to its output. */
export function hasSkip(arch: Arch, i: number): boolean {
  return arch.residual && i < arch.widths.length - 2 && arch.widths[i] === arch.widths[i + 1];
}

/** Arrays of one hidden or output layer over the rows of a batch; (rows, units) each. */
interface Buffers {
  /** The weighted sum. */
  z: Float64Array;
  /** What the activation takes: z itself, or its norm, scaled and shifted. */
  u: Float64Array;
  /** The activation, before a skip is added. */
  a: Float64Array;
  /** What the next layer takes. */
  h: Float64Array;
  /** The loss's gradient by z. */
  dz: Float64Array;
  /** 1 / sqrt(var + epsilon) and mean, a number for each unit or row. */
  spread: Float64Array;
  mean: Float64Array;
}

export class Net {
  readonly depth: number;
  readonly places: readonly Place[];
  readonly theta: Float64Array;
  readonly grad: Float64Array;
  readonly buffers: readonly Buffers[];
  readonly outputs: number;
  private readonly f: Activation;
  private readonly dh: Float64Array;
  private readonly other: Float64Array;
  private readonly input: Matrix;

  /** A network with its arrays for so many rows; `theta` is shared where another network's is given. */
  constructor(
    readonly arch: Arch,
    readonly rows: number,
    theta?: Float64Array,
  ) {
    const { places, size } = placesOf(arch);
    this.depth = places.length;
    this.places = places;
    this.outputs = arch.widths[arch.widths.length - 1];
    this.theta = theta ?? new Float64Array(size);
    this.grad = new Float64Array(size);
    this.f = activation(arch.activation);
    this.buffers = places.map((place, i) => {
      const z = new Float64Array(rows * place.units);
      const last = i === places.length - 1;
      const u = place.scale < 0 ? z : z.slice();
      const a = last ? z : z.slice();
      const moments = arch.norm === "batch" ? place.units : rows;
      return {
        z, u, a, h: hasSkip(arch, i) ? z.slice() : a, dz: z.slice(),
        spread: new Float64Array(moments), mean: new Float64Array(moments),
      };
    });
    const most = rows * Math.max(...arch.widths);
    this.dh = new Float64Array(most);
    this.other = new Float64Array(most);
    this.input = { data: this.dh, start: 0, row: arch.widths[0], column: 1 };
  }

  /**
   * The logits of a batch, (rows, outputs).
   *
   * @param x (rows, features).
   * @param from A net whose batch moments are taken in place of this batch's own.
   */
  forward(x: Float64Array, from?: Net): Float64Array {
    this.input.data = x;
    for (let i = 0; i < this.depth; i++) {
      const place = this.places[i];
      const { z, a, h, u } = this.buffers[i];
      const before = i === 0 ? x : this.buffers[i - 1].h;
      this.dense(place, before, z);
      if (i === this.depth - 1) break;
      if (place.scale >= 0) this.normalise(i, from);
      for (let k = 0; k < a.length; k++) a[k] = this.f.value(u[k]);
      if (h !== a) for (let k = 0; k < a.length; k++) h[k] = a[k] + before[k];
    }
    return this.buffers[this.depth - 1].z;
  }

  private dense(place: Place, before: Float64Array, z: Float64Array): void {
    const { fanIn, units } = place;
    const inputs = { data: before, start: 0, row: fanIn, column: 1 };
    const weights = { data: this.theta, start: place.weight, row: 1, column: fanIn };
    multiply(this.rows, units, fanIn, inputs, weights, { data: z, start: 0, row: units, column: 1 });
    for (let r = 0, k = 0; r < this.rows; r++) {
      for (let j = 0; j < units; j++, k++) z[k] += this.theta[place.bias + j];
    }
  }

  /** u = (z - mean) / sqrt(var + epsilon) * scale + shift, over the units of a row or over the rows of a unit. */
  private normalise(i: number, from?: Net): void {
    const place = this.places[i];
    const { z, u, spread, mean } = this.buffers[i];
    const { units } = place;
    const batch = this.arch.norm === "batch";
    if (batch && from !== undefined) {
      spread.set(from.buffers[i].spread);
      mean.set(from.buffers[i].mean);
    } else {
      const [count, step, length, next] = batch ? [units, 1, this.rows, units] : [this.rows, units, units, 1];
      for (let one = 0; one < count; one++) {
        let sum = 0;
        for (let k = 0, at = one * step; k < length; k++, at += next) sum += z[at];
        const middle = sum / length;
        let square = 0;
        for (let k = 0, at = one * step; k < length; k++, at += next) square += (z[at] - middle) * (z[at] - middle);
        mean[one] = middle;
        spread[one] = 1 / Math.sqrt(square / length + NORM_EPSILON);
      }
    }
    for (let r = 0, k = 0; r < this.rows; r++) {
      for (let j = 0; j < units; j++, k++) {
        const one = batch ? j : r;
        u[k] = (z[k] - mean[one]) * spread[one] * this.theta[place.scale + j] + this.theta[place.shift + j];
      }
    }
  }

  /**
   * The mean cross-entropy of the last forward pass and the share of rows told right; leaves the loss's gradient by
   * the logits in the last layer's `dz`.
   */
  loss(y: Int32Array): { loss: number; accuracy: number } {
    const { z, dz } = this.buffers[this.depth - 1];
    const k = this.outputs;
    let total = 0;
    let right = 0;
    for (let r = 0; r < this.rows; r++) {
      const at = r * k;
      let top = 0;
      for (let j = 1; j < k; j++) if (z[at + j] > z[at + top]) top = j;
      const high = z[at + top];
      let sum = 0;
      for (let j = 0; j < k; j++) sum += Math.exp(z[at + j] - high);
      total += Math.log(sum) + high - z[at + y[r]];
      for (let j = 0; j < k; j++) {
        dz[at + j] = (Math.exp(z[at + j] - high) / sum - (j === y[r] ? 1 : 0)) / this.rows;
      }
      if (top === y[r]) right++;
    }
    return { loss: total / this.rows, accuracy: right / this.rows };
  }

  /** Fill `grad` with the loss's gradient by every number, after `forward` and `loss`. */
  backward(): void {
    const rows = this.rows;
    for (let i = this.depth - 1; i >= 0; i--) {
      const place = this.places[i];
      const { units, fanIn } = place;
      const { dz } = this.buffers[i];
      if (i < this.depth - 1) this.throughActivation(i);
      const before = i === 0 ? this.input.data : this.buffers[i - 1].h;
      const gradients = { data: dz, start: 0, row: 1, column: units };
      const inputs = { data: before, start: 0, row: fanIn, column: 1 };
      multiply(units, fanIn, rows, gradients, inputs, { data: this.grad, start: place.weight, row: fanIn, column: 1 });
      this.grad.fill(0, place.bias, place.bias + units);
      for (let r = 0, k = 0; r < rows; r++) for (let j = 0; j < units; j++, k++) this.grad[place.bias + j] += dz[k];
      if (i === 0) break;
      // dL/dh of the layer before, with what the skip hands on.
      if (hasSkip(this.arch, i)) this.other.set(this.dh.subarray(0, rows * units));
      const back = { data: dz, start: 0, row: units, column: 1 };
      const weights = { data: this.theta, start: place.weight, row: fanIn, column: 1 };
      multiply(rows, fanIn, units, back, weights, { data: this.dh, start: 0, row: fanIn, column: 1 });
      if (hasSkip(this.arch, i)) for (let k = 0; k < rows * fanIn; k++) this.dh[k] += this.other[k];
    }
  }

  /** From dL/dh in `dh` to dL/dz in the layer's `dz`. */
  private throughActivation(i: number): void {
    const { u, a, dz } = this.buffers[i];
    for (let k = 0; k < dz.length; k++) dz[k] = this.dh[k] * this.f.slope(u[k], a[k]);
    if (this.places[i].scale >= 0) this.throughNorm(i);
  }

  private throughNorm(i: number): void {
    const place = this.places[i];
    const { z, dz, spread, mean } = this.buffers[i];
    const { units } = place;
    const batch = this.arch.norm === "batch";
    this.grad.fill(0, place.scale, place.scale + units);
    this.grad.fill(0, place.shift, place.shift + units);
    for (let r = 0, k = 0; r < this.rows; r++) {
      for (let j = 0; j < units; j++, k++) {
        const one = batch ? j : r;
        this.grad[place.scale + j] += dz[k] * (z[k] - mean[one]) * spread[one];
        this.grad[place.shift + j] += dz[k];
        dz[k] *= this.theta[place.scale + j];
      }
    }
    const [count, step, length, next] = batch ? [units, 1, this.rows, units] : [this.rows, units, units, 1];
    for (let one = 0; one < count; one++) {
      let sum = 0;
      let along = 0;
      for (let k = 0, at = one * step; k < length; k++, at += next) {
        sum += dz[at];
        along += dz[at] * (z[at] - mean[one]) * spread[one];
      }
      for (let k = 0, at = one * step; k < length; k++, at += next) {
        dz[at] = spread[one] * (dz[at] - (sum + (z[at] - mean[one]) * spread[one] * along) / length);
      }
    }
  }
}
