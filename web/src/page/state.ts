/** All that a visitor chose, and its way into the address and back: a lesson is a link. */

import { ACTIVATIONS } from "../numerics/activations";
import type { Norm } from "../numerics/net";
import type { OptimizerName } from "../numerics/optimizers";
import { SCHEMES } from "../numerics/schemes";
import { DATA_NAMES } from "../data";

export interface Lane {
  readonly depth: number;
  readonly width: number;
  readonly activation: string;
  readonly scheme: string;
  readonly sigmaW: number;
  readonly sigmaB: number;
  readonly norm: Norm;
  readonly residual: boolean;
  readonly optimizer: OptimizerName;
  readonly rate: number;
}

export type LaneName = "A" | "B";
export const LANES: readonly LaneName[] = ["A", "B"];

export interface State {
  readonly preset: string;
  readonly data: string;
  readonly seed: number;
  readonly speed: string;
  readonly A: Lane;
  readonly B: Lane;
}

/** Hidden layers, units and steps a second that can be chosen. */
export const DEPTHS = [1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 30, 50] as const;
export const WIDTHS = [2, 4, 8, 16, 32, 64] as const;
export const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3] as const;
export const SPEEDS = ["5", "20", "60", "full"] as const;

const OPTIMIZERS: readonly OptimizerName[] = ["sgd", "momentum", "adam"];
const NORMS: readonly Norm[] = ["none", "layer", "batch"];
/** Ends of the phase diagram. */
export const MOST_SIGMA_W = 4;
export const MOST_SIGMA_B = 1;

/** What a field of a lane may be. */
const CHOICES: { readonly [K in keyof Lane]: readonly Lane[K][] | readonly [Lane[K], Lane[K], "range"] } = {
  depth: DEPTHS,
  width: WIDTHS,
  activation: ACTIVATIONS.map(({ name }) => name),
  scheme: SCHEMES.map(({ name }) => name),
  sigmaW: [0.05, MOST_SIGMA_W, "range"],
  sigmaB: [0, MOST_SIGMA_B, "range"],
  norm: NORMS,
  residual: [false, true],
  optimizer: OPTIMIZERS,
  rate: RATES,
};

export const FIELDS = Object.keys(CHOICES) as readonly (keyof Lane)[];

/** The values that a field may take; empty for a number between two ends. */
export function choicesOf<K extends keyof Lane>(field: K): readonly Lane[K][] {
  const choices = CHOICES[field];
  return choices[2] === "range" ? [] : (choices as readonly Lane[K][]);
}

/** A field's value from text; undefined for what it may not be. */
function readField(field: keyof Lane, text: string): Lane[keyof Lane] | undefined {
  const choices: readonly unknown[] = CHOICES[field];
  if (choices[2] === "range") {
    const value = text.trim() === "" ? NaN : Number(text);
    return value >= (choices[0] as number) && value <= (choices[1] as number) ? value : undefined;
  }
  return choices.find((choice) => String(choice) === text) as Lane[keyof Lane] | undefined;
}

/** The lane with a field changed; the lane itself where the text is no value of it. */
export function withField(lane: Lane, field: keyof Lane, text: string): Lane {
  const value = readField(field, text);
  return value === undefined ? lane : { ...lane, [field]: value };
}

/** The address's part behind #: the preset, and what differs from it. */
export function writeState(state: State, preset: State): string {
  const words = new URLSearchParams();
  words.set("preset", state.preset);
  for (const field of ["data", "seed", "speed"] as const) {
    if (state[field] !== preset[field]) words.set(field, String(state[field]));
  }
  for (const lane of LANES) {
    for (const field of FIELDS) {
      if (state[lane][field] !== preset[lane][field]) words.set(`${lane}.${field}`, String(state[lane][field]));
    }
  }
  return words.toString();
}

/** The state of an address; what is not understood is left at the preset's and told. */
export function readState(
  hash: string,
  presets: (name: string) => State | undefined,
  usual: State,
): { state: State; ignored: string[] } {
  const words = new URLSearchParams(hash.replace(/^#/, ""));
  const name = words.get("preset");
  const preset = name === null ? usual : presets(name);
  const ignored = preset === undefined ? [`preset=${name ?? ""}`] : [];
  let state = preset ?? usual;
  words.forEach((value, key) => {
    if (key === "preset" || key === "profile" || key === "tour") return;
    const [lane, field] = key.split(".");
    let next = state;
    if ((lane === "A" || lane === "B") && FIELDS.includes(field as keyof Lane)) {
      next = { ...state, [lane]: withField(state[lane], field as keyof Lane, value) };
      if (next[lane] === state[lane]) ignored.push(`${key}=${value}`);
    } else if (isShared(key, value)) {
      next = { ...state, [key]: key === "seed" ? Number(value) : value };
    } else {
      ignored.push(`${key}=${value}`);
    }
    state = next;
  });
  return { state, ignored };
}

function isShared(key: string, value: string): boolean {
  if (key === "data") return DATA_NAMES.some(([name]) => name === value);
  if (key === "speed") return SPEEDS.some((speed) => speed === value);
  return key === "seed" && /^\d{1,9}$/.test(value);
}
