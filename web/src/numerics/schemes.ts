/** Schemes: from the facts about one layer to the laws of its weights and biases, as `initlab show NAME` states them. */

import type { Activation } from "./activations";
import { draw, type Law, stream, fill } from "./draws";
import { type Arch, Net } from "./net";
import { activation } from "./activations";
import { forwardGain } from "./theory";

/** The facts about one dense layer; `made` made its input, null for the first. */
export interface Layer {
  readonly fanIn: number;
  readonly fanOut: number;
  readonly made: Activation | null;
}

/** A name with the two numbers that the scheme `sigma` takes, standard deviations; others take none. */
export interface Start {
  readonly scheme: string;
  readonly sigmaW: number;
  readonly sigmaB: number;
}

interface Scheme {
  readonly name: string;
  readonly title: string;
  readonly weight: (layer: Layer, start: Start) => Law;
  readonly bias?: (layer: Layer, start: Start) => Law;
}

const normal = (sigma: number): Law => ({ family: "normal", sigma });
const uniform = (end: number): Law => ({ family: "uniform", low: -end, high: end });
const constant = (value: number): Law => ({ family: "constant", value });

export const SCHEMES: readonly Scheme[] = [
  {
    name: "sigma",
    title: "normal: my σw and σb",
    weight: ({ fanIn }, { sigmaW }) => normal(sigmaW / Math.sqrt(fanIn)),
    bias: (_layer, { sigmaB }) => normal(sigmaB),
  },
  { name: "he_normal", title: "He normal", weight: ({ fanIn }) => normal(Math.sqrt(2 / fanIn)) },
  { name: "he_uniform", title: "He uniform", weight: ({ fanIn }) => uniform(Math.sqrt(3) * Math.sqrt(2 / fanIn)) },
  {
    name: "glorot_normal",
    title: "Xavier (Glorot) normal",
    weight: ({ fanIn, fanOut }) => normal(Math.sqrt(1 / ((fanIn + fanOut) / 2))),
  },
  {
    name: "glorot_uniform",
    title: "Xavier (Glorot) uniform",
    weight: ({ fanIn, fanOut }) => uniform(Math.sqrt(3) * Math.sqrt(1 / ((fanIn + fanOut) / 2))),
  },
  { name: "lecun_normal", title: "LeCun normal", weight: ({ fanIn }) => normal(Math.sqrt(1 / fanIn)) },
  {
    name: "exact_gain_normal",
    title: "exact gain of the activation",
    weight: ({ fanIn, made }) => normal((made === null ? 1 : forwardGain(made)) / Math.sqrt(fanIn)),
  },
  {
    name: "torch_default",
    title: "PyTorch's default Linear",
    weight: ({ fanIn }) => uniform(1 / Math.sqrt(fanIn)),
    bias: ({ fanIn }) => uniform(1 / Math.sqrt(fanIn)),
  },
  { name: "normal", title: "too small: std 0.05", weight: () => normal(0.05) },
  { name: "standard", title: "too large: std 1", weight: () => normal(1) },
  { name: "truncated_normal", title: "truncated normal, σ 0.05", weight: () => ({ family: "truncated", sigma: 0.05 }) },
  { name: "constant", title: "constant 0.05", weight: () => constant(0.05) },
  { name: "zeros", title: "zeros", weight: () => constant(0) },
];

/** The scheme of a name. */
export function scheme(name: string): Scheme {
  const found = SCHEMES.find((one) => one.name === name);
  if (found === undefined) throw new Error(`unknown scheme '${name}'`);
  return found;
}

/** The laws of weight and bias of every layer of a network. */
export function lawsOf(arch: Arch, start: Start): { weight: Law; bias: Law }[] {
  const made = activation(arch.activation);
  const chosen = scheme(start.scheme);
  return arch.widths.slice(1).map((fanOut, i) => {
    const layer = { fanIn: arch.widths[i], fanOut, made: i === 0 ? null : made };
    return { weight: chosen.weight(layer, start), bias: chosen.bias?.(layer, start) ?? constant(0) };
  });
}

/** Write a start into a network: the weights of `initlab.draw` at this seed under the paths "0/weight", "0/bias", ... */
export function initialize(net: Net, start: Start, seed: number): void {
  lawsOf(net.arch, start).forEach(({ weight, bias }, i) => {
    const place = net.places[i];
    net.theta.set(draw(weight, place.fanIn * place.units, seed, `${i}/weight`), place.weight);
    fill(bias, stream(seed, `${i}/bias`), net.theta.subarray(place.bias, place.bias + place.units));
    if (place.scale >= 0) {
      net.theta.fill(1, place.scale, place.scale + place.units);
      net.theta.fill(0, place.shift, place.shift + place.units);
    }
  });
}
