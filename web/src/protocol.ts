/** What the page and its two workers tell each other. */

import type { Data } from "./data";
import type { Arch } from "./numerics/net";
import type { OptimizerName } from "./numerics/optimizers";
import type { Start } from "./numerics/schemes";

/** One network that races. */
export interface Racer {
  readonly arch: Arch;
  readonly start: Start;
  readonly seed: number;
  readonly optimizer: OptimizerName;
  readonly rate: number;
}

export type Command =
  | { readonly kind: "begin"; readonly round: number; readonly racer: Racer; readonly data: Data }
  | { readonly kind: "run"; readonly round: number; readonly steps: number };

/** Counts of a layer's values, in bins that all layers share. */
export interface Histograms {
  readonly low: number;
  readonly high: number;
  readonly counts: readonly Uint32Array[];
}

/** Points a side of the map of what is answered where, and the side of the square that it covers. */
export const GRID = 32;
export const REACH = 2.6;

/** What is seen of a network after some steps; arrays have a number for each dense layer, the output's last. */
export interface Snapshot {
  readonly round: number;
  readonly step: number;
  /** Of each step since the snapshot before, and of the present numbers last. */
  readonly losses: Float64Array;
  readonly accuracy: number;
  readonly diverged: boolean;
  readonly signal: Float64Array;
  readonly gradient: Float64Array;
  readonly correlation: Float64Array;
  readonly activations: Histograms;
  /** Of log10 of the size of dL/dz; exact zeros are in the first bin. */
  readonly gradients: Histograms;
  /** The probability of class 1 over the plane, 0 to 255; null where it was not asked for again. */
  readonly map: Uint8Array | null;
  /** What each row is taken for. */
  readonly answers: Uint8Array;
  /** Milliseconds a step. */
  readonly pace: number;
}
