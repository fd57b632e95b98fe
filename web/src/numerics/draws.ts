/** Named streams and the laws drawn from them: the bits of `initlab.draw` in float64. */

import { blake2b } from "./blake2b";
import { philox } from "./philox";
import { normalQuantile } from "./quantile";

const DRAW_VERSION = 1;

/** The standard normal cut at two deviations: the part of it that is kept, and its deviation inside the cut. */
export const CUT_MASS = 0.9544997361036416;
export const CUT_STD = 0.8796256610342398;

/** A stream of entries: the two words of its key and the upper two of its counter. */
export interface Stream {
  readonly key0: number;
  readonly key1: number;
  readonly high0: number;
  readonly high1: number;
}

/** What the entries of a parameter are: `truncated` is cut at two sigma, sigma being that of the uncut normal. */
export type Law =
  | { readonly family: "constant"; readonly value: number }
  | { readonly family: "uniform"; readonly low: number; readonly high: number }
  | { readonly family: "normal" | "truncated"; readonly sigma: number };

/** The bytes of a whole number of 0 or more, little-endian, as few as hold it. */
function bytesOf(number: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = number; rest > 0n; rest >>= 8n) bytes.push(Number(rest & 255n));
  return bytes;
}

/** The stream that a seed, a purpose and a canonical path name. */
export function stream(seed: number | bigint, path: string, purpose = "weights"): Stream {
  const text = new TextEncoder();
  const fields = [bytesOf(BigInt(DRAW_VERSION)), bytesOf(BigInt(seed)), text.encode(purpose), text.encode(path)];
  const message: number[] = [];
  for (const field of fields) {
    const length = bytesOf(BigInt(field.length));
    message.push(...length, ...new Array<number>(8 - length.length).fill(0), ...field);
  }
  const [key0, key1, high0, high1] = blake2b(Uint8Array.from(message), 16);
  return { key0, key1, high0, high1 };
}

/** `u - 1/2` of the elements `start, start + 1, ...` of a stream, u = (k + 1/2) 2^-52, exact. */
export function central(source: Stream, out: Float64Array, start = 0): void {
  const words = new Uint32Array(4);
  for (let at = 0; at < out.length; ) {
    const place = start + at;
    const block = Math.floor(place / 2);
    words[0] = block;
    words[1] = Math.floor(block / 4294967296);
    words[2] = source.high0;
    words[3] = source.high1;
    philox(words, source.key0, source.key1);
    for (let pair = place % 2; pair < 2 && at < out.length; pair++, at++) {
      const k = words[2 * pair] * 1048576 + (words[2 * pair + 1] >>> 12);
      out[at] = k * 2 ** -52 - 0.5 + 2 ** -53;
    }
  }
}

/** Fill an array with the law's entries from the element `start` of the stream on. */
export function fill(law: Law, source: Stream, out: Float64Array, start = 0): void {
  if (law.family === "constant") {
    out.fill(law.value);
    return;
  }
  central(source, out, start);
  if (law.family === "uniform") {
    const width = law.high - law.low;
    const middle = 0.5 * law.low + 0.5 * law.high;
    for (let i = 0; i < out.length; i++) out[i] = Math.min(Math.max(out[i] * width + middle, law.low), law.high);
  } else if (law.family === "normal") {
    for (let i = 0; i < out.length; i++) out[i] = normalQuantile(out[i]) * law.sigma + 0;
  } else {
    for (let i = 0; i < out.length; i++) {
      out[i] = Math.min(Math.max(normalQuantile(out[i] * CUT_MASS), -2), 2) * law.sigma + 0;
    }
  }
}

/** The weights that a law, a seed and a path name, `size` of them in row-major order. */
export function draw(law: Law, size: number, seed: number | bigint, path = "weight"): Float64Array {
  const out = new Float64Array(size);
  fill(law, stream(seed, path), out);
  return out;
}

/** Standard deviation of an entry. */
export function stdOf(law: Law): number {
  if (law.family === "constant") return 0;
  if (law.family === "uniform") return (law.high - law.low) / Math.sqrt(12);
  return law.family === "normal" ? law.sigma : law.sigma * CUT_STD;
}
