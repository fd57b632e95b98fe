/** A worker: one network, trained and looked at. It answers every command with a snapshot. */

import type { Data } from "./data";
import { Net } from "./numerics/net";
import { Optimizer } from "./numerics/optimizers";
import { initialize } from "./numerics/schemes";
import { GRID, type Command, type Histograms, type Racer, REACH, type Snapshot } from "./protocol";

const BINS = 40;
const FAINTEST_DECADE = -14;
const LOUDEST_DECADE = 2;

/** A network in training, with the arrays that its snapshots need. */
class Trainee {
  private step = 0;
  private losses: number[] = [];
  private accuracy = 0;
  private diverged = false;
  private readonly net: Net;
  private readonly optimizer: Optimizer;
  private readonly pair: Net;
  private readonly plane: Net | null;
  private readonly pairX: Float64Array;
  private mapCost = 0;
  private mapped = -Infinity;
  private pace: number;

  constructor(
    private readonly round: number,
    racer: Racer,
    private readonly data: Data,
  ) {
    this.net = new Net(racer.arch, data.y.length);
    initialize(this.net, racer.start, racer.seed);
    this.optimizer = new Optimizer(racer.optimizer, racer.rate, this.net.theta.length);
    this.pair = new Net(racer.arch, 2, this.net.theta);
    this.pairX = rightAngle(data);
    this.plane = data.features === 2 ? new Net(racer.arch, (GRID * GRID) / 4, this.net.theta) : null;
    // The first pace is that of this pass, cold as it is: a deep net must not be asked for forty steps at once.
    const began = performance.now();
    this.look();
    this.pace = performance.now() - began;
  }

  /** Loss and gradients of the present numbers. */
  private look(): void {
    this.net.forward(this.data.x);
    const { loss, accuracy } = this.net.loss(this.data.y);
    this.losses.push(loss);
    this.accuracy = accuracy;
    this.diverged = !Number.isFinite(loss);
    if (!this.diverged) this.net.backward();
  }

  run(steps: number): void {
    const began = performance.now();
    let taken = 0;
    for (; taken < steps && !this.diverged; taken++) {
      this.optimizer.step(this.net.theta, this.net.grad);
      this.step++;
      this.look();
    }
    if (taken > 0) this.pace = (performance.now() - began) / taken;
  }

  snapshot(): Snapshot {
    const { net } = this;
    const losses = Float64Array.from(this.losses);
    this.losses = [];
    this.pair.forward(this.pairX, net);
    return {
      round: this.round,
      step: this.step,
      losses,
      accuracy: this.accuracy,
      diverged: this.diverged,
      signal: Float64Array.from(net.buffers, ({ z }) => squareSum(z) / z.length),
      gradient: Float64Array.from(net.buffers, ({ dz }) => squareSum(dz)),
      correlation: Float64Array.from(this.pair.buffers, ({ z }) => cosine(z)),
      activations: activationCounts(net),
      gradients: gradientCounts(net),
      map: this.map(),
      answers: this.answers(),
      pace: this.pace,
    };
  }

  /** The map costs several passes: it takes a fifth of the time at most. */
  private map(): Uint8Array | null {
    if (this.plane === null || this.diverged) return null;
    const began = performance.now();
    if (began - this.mapped < 4 * this.mapCost) return null;
    const out = new Uint8Array(GRID * GRID);
    const part = this.plane.rows;
    const x = new Float64Array(2 * part);
    for (let first = 0; first < out.length; first += part) {
      for (let k = 0; k < part; k++) {
        const [row, column] = [Math.floor((first + k) / GRID), (first + k) % GRID];
        x[2 * k] = ((column + 0.5) / GRID - 0.5) * 2 * REACH;
        x[2 * k + 1] = (0.5 - (row + 0.5) / GRID) * 2 * REACH;
      }
      const z = this.plane.forward(x, this.net);
      for (let k = 0; k < part; k++) out[first + k] = Math.round(255 / (1 + Math.exp(z[2 * k] - z[2 * k + 1])));
    }
    this.mapped = performance.now();
    this.mapCost = this.mapped - began;
    return out;
  }

  private answers(): Uint8Array {
    const { z } = this.net.buffers[this.net.depth - 1];
    const k = this.net.outputs;
    return Uint8Array.from({ length: this.net.rows }, (_, r) => {
      let top = 0;
      for (let j = 1; j < k; j++) if (z[r * k + j] > z[r * k + top]) top = j;
      return top;
    });
  }
}

/** Two inputs of the data's mean square at a right angle: (2, features). */
function rightAngle({ features }: Data): Float64Array {
  const x = new Float64Array(2 * features);
  for (let j = 0; j < features; j++) {
    x[j] = 1;
    x[features + j] = j % 2 === 0 ? 1 : -1;
  }
  return x;
}

function squareSum(values: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < values.length; k++) sum += values[k] * values[k];
  return sum;
}

/** Of the two rows of an array. */
function cosine(z: Float64Array): number {
  const half = z.length / 2;
  let [first, second, both] = [0, 0, 0];
  for (let k = 0; k < half; k++) {
    first += z[k] * z[k];
    second += z[half + k] * z[half + k];
    both += z[k] * z[half + k];
  }
  return both / Math.sqrt(first * second);
}

/** Hidden layers' activations, between common ends that hold nearly all of every layer. */
function activationCounts(net: Net): Histograms {
  const hidden = net.buffers.slice(0, -1);
  const name = net.arch.activation;
  let [low, high] = name === "sigmoid" ? [0, 1] : [-1, 1];
  if (name !== "sigmoid" && name !== "tanh") {
    const largest = Math.max(...hidden.map(({ a }) => Math.sqrt(squareSum(a) / a.length)));
    high = Number.isFinite(largest) && largest > 0 ? roundUp(3 * largest) : 1;
    low = name === "relu" || name === "softplus" ? 0 : -high;
  }
  const counts = hidden.map(({ a }) => count(a, low, high, (value) => value));
  return { low, high, counts };
}

function gradientCounts(net: Net): Histograms {
  const counts = net.buffers
    .slice(0, -1)
    .map(({ dz }) => count(dz, FAINTEST_DECADE, LOUDEST_DECADE, (value) => Math.log10(Math.abs(value))));
  return { low: FAINTEST_DECADE, high: LOUDEST_DECADE, counts };
}

/** At most so many values of a layer are counted, evenly spaced: a picture needs no more. */
const COUNTED = 3200;

/** Counts in equal bins; what lies beyond an end is in the bin beside it. */
function count(values: Float64Array, low: number, high: number, of: (value: number) => number): Uint32Array {
  const counts = new Uint32Array(BINS);
  const stride = Math.max(1, Math.floor(values.length / COUNTED) | 1);
  for (let k = 0; k < values.length; k += stride) {
    const bin = Math.floor(((of(values[k]) - low) / (high - low)) * BINS);
    counts[Math.min(Math.max(bin, 0), BINS - 1)]++;
  }
  return counts;
}

/** The next of 1, 2, 5, 10, 20, ... */
function roundUp(x: number): number {
  const decade = 10 ** Math.floor(Math.log10(x));
  return [1, 2, 5, 10].map((step) => step * decade).find((step) => step >= x * 0.999999) ?? 10 * decade;
}

let trainee: Trainee | null = null;
let round = -1;

self.onmessage = (event: MessageEvent<Command>): void => {
  const command = event.data;
  if (command.kind === "begin") {
    round = command.round;
    trainee = new Trainee(command.round, command.racer, command.data);
  } else if (command.round === round) {
    trainee?.run(command.steps);
  }
  if (trainee !== null && command.round === round) self.postMessage(trainee.snapshot());
};
