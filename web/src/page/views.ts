/** The pictures: each takes both networks' numbers and a canvas. */

import type { Data } from "../data";
import type { Course } from "../numerics/course";
import { GRID, type Histograms, REACH, type Snapshot } from "../protocol";
import { axes, type Box, dot, inside, line, type Palette, placeOn, prepared, type Scale, told } from "./chart";
import { type LaneName, LANES } from "./state";

/** What a picture is made of. */
export interface Lanes {
  readonly data: Data;
  readonly seen: Record<LaneName, Snapshot>;
  readonly courses: Record<LaneName, Course>;
  /** Every loss since the start. */
  readonly losses: Record<LaneName, readonly number[]>;
  /** The last map that each worker sent. */
  readonly maps: Record<LaneName, Uint8Array | null>;
}

/** A logarithmic axis over all finite values above 0: whole decades, at least two, at most so many. */
export function decades(values: Iterable<number>, most = 40): Scale {
  let [low, high] = [Infinity, 0];
  for (const value of values) {
    if (value > 0 && Number.isFinite(value)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (high === 0) return { low: 0.1, high: 10, log: true };
  const to = Math.ceil(Math.log10(high) + 0.05);
  const from = Math.max(Math.min(Math.floor(Math.log10(low) - 0.05), to - 2), to - most);
  return { low: 10 ** from, high: 10 ** to, log: true };
}

/** A loss below it is drawn as it: all is learnt. */
const LEAST_LOSS = 2e-4;

export function drawLoss(canvas: HTMLCanvasElement, { losses, data }: Lanes, colours: Palette): void {
  const steps = Math.max(...LANES.map((lane) => losses[lane].length - 1), 1);
  const guess = Math.log(data.classes);
  const y = decades([guess, 0.1 * guess, ...LANES.flatMap((lane) => thinned(losses[lane], 300).map(([, loss]) => Math.max(loss, LEAST_LOSS)))], 8);
  const x = { low: 0, high: Math.max(50, steps) };
  const { pen, box } = axes(canvas, { x, y, xTitle: "step" }, colours);
  const at = box.top + (1 - placeOn(y, guess)) * box.height;
  pen.setLineDash([4, 4]);
  pen.strokeStyle = colours.faint;
  line(pen, [[box.left, at], [box.left + box.width, at]]);
  pen.setLineDash([]);
  inside(pen, box, () => {
    for (const lane of LANES) {
      pen.strokeStyle = colours[lane];
      pen.lineWidth = 2;
      pen.setLineDash(lane === "A" ? [] : [7, 3]);
      const points = thinned(losses[lane], 600);
      line(pen, points.map(([step, loss]) => spot(box, x, y, step, Math.max(loss, LEAST_LOSS))));
      const last = points[points.length - 1];
      if (last) {
        pen.fillStyle = colours[lane];
        dot(pen, lane, ...spot(box, x, y, last[0], Math.max(last[1], LEAST_LOSS)), 4);
      }
    }
    pen.setLineDash([]);
  });
  // Beside the line, with a rim of paper: a loss that stays at a guess must not run through the words.
  const above = at - box.top > 22;
  pen.textAlign = "right";
  pen.textBaseline = above ? "bottom" : "top";
  pen.lineWidth = 4;
  pen.strokeStyle = colours.paper;
  pen.fillStyle = colours.faint;
  const words: [string, number, number] = [`a guess: ln ${data.classes}`, box.left + box.width - 12, at + (above ? -5 : 7)];
  pen.strokeText(...words);
  pen.fillText(...words);
}

/** At most so many (step, loss), the last among them. */
function thinned(losses: readonly number[], most: number): [number, number][] {
  const stride = Math.max(1, Math.ceil(losses.length / most));
  const found: [number, number][] = [];
  for (let step = 0; step < losses.length; step += stride) found.push([step, losses[step]]);
  const last = losses.length - 1;
  if (last >= 0 && last % stride !== 0) found.push([last, losses[last]]);
  return found;
}

/** Where a pair of values lies; what is beyond the axis by far is drawn just beyond it. */
function spot(box: Box, x: Scale, y: Scale, a: number, b: number): [number, number] {
  const up = Math.min(Math.max(placeOn(y, b), -0.1), 1.1);
  return [box.left + placeOn(x, a) * box.width, box.top + (1 - (Number.isNaN(b) || (y.log === true && b <= 0) ? NaN : up)) * box.height];
}

/** One number a layer: measured dots over theory's line. */
export interface ByLayer {
  readonly measured: Record<LaneName, ArrayLike<number>>;
  readonly theory: Record<LaneName, readonly number[]>;
  readonly y: Scale;
}

export function drawByLayer(canvas: HTMLCanvasElement, { measured, theory, y }: ByLayer, colours: Palette): void {
  const deepest = Math.max(measured.A.length, measured.B.length, 2);
  const x = { low: 1, high: deepest };
  const { pen, box } = axes(canvas, { x, y, xTitle: "layer" }, colours);
  inside(pen, box, () => {
    for (const lane of LANES) {
      pen.strokeStyle = colours[lane];
      pen.globalAlpha = 0.75;
      pen.lineWidth = 2.5;
      pen.setLineDash(lane === "A" ? [] : [7, 3]);
      line(pen, theory[lane].map((value, i) => spot(box, x, y, i + 1, value)));
    }
    pen.setLineDash([]);
    pen.globalAlpha = 1;
    for (const lane of LANES) {
      pen.fillStyle = colours[lane];
      const size = deepest > 25 ? 2.6 : 4;
      Array.from(measured[lane]).forEach((value, i) => dot(pen, lane, ...spot(box, x, y, i + 1, value), size));
    }
  });
}

/** Signal by layer. */
export function signalOf({ seen, courses }: Lanes): ByLayer {
  const measured = { A: seen.A.signal, B: seen.B.signal };
  const theory = { A: courses.A.signal, B: courses.B.signal };
  return { measured, theory, y: decades([...measured.A, ...measured.B, ...theory.A, ...theory.B]) };
}

/** Gradient by layer, the line anchored at the gradient of the logits as it is. */
export function gradientOf({ seen, courses }: Lanes): ByLayer {
  const measured = { A: seen.A.gradient, B: seen.B.gradient };
  const anchored = (lane: LaneName): number[] => {
    const { gradient } = seen[lane];
    return courses[lane].gradient.map((value) => value * gradient[gradient.length - 1]);
  };
  const theory = { A: anchored("A"), B: anchored("B") };
  return { measured, theory, y: decades([...measured.A, ...measured.B, ...theory.A, ...theory.B]) };
}

export function correlationOf({ seen, courses }: Lanes): ByLayer {
  const measured = { A: seen.A.correlation, B: seen.B.correlation };
  const theory = { A: courses.A.correlation, B: courses.B.correlation };
  const lowest = Math.min(0, ...Array.from(measured.A), ...Array.from(measured.B));
  return { measured, theory, y: { low: lowest < -0.5 ? -1 : lowest < -0.02 ? -0.5 : 0, high: 1 } };
}

/** The decision boundary: what is answered where, and the points. */
export function drawMap(canvas: HTMLCanvasElement, lane: LaneName, lanes: Lanes, colours: Palette): void {
  const { pen, width, height } = prepared(canvas);
  const side = Math.min(width, height);
  const left = (width - side) / 2;
  const map = lanes.maps[lane];
  if (map !== null) pen.drawImage(tinted(map, colours), left, 0, side, side);
  const { x, y } = lanes.data;
  for (let r = 0; r < y.length; r++) {
    const [across, up] = [x[2 * r] / REACH, x[2 * r + 1] / REACH];
    pen.fillStyle = y[r] === 0 ? colours.A : colours.B;
    pen.strokeStyle = colours.paper;
    pen.lineWidth = 1;
    dot(pen, y[r] === 0 ? "A" : "B", left + (side / 2) * (1 + across), (side / 2) * (1 - up), 3.2);
    pen.stroke();
  }
}

/** The map as a small picture; the canvas smooths it when it is enlarged. */
function tinted(map: Uint8Array, colours: Palette): HTMLCanvasElement {
  const small = document.createElement("canvas");
  small.width = small.height = GRID;
  const pen = small.getContext("2d");
  if (pen === null) return small;
  const [paper, first, second] = [colours.paper, colours.A, colours.B].map(rgb);
  const image = pen.createImageData(GRID, GRID);
  for (let i = 0; i < map.length; i++) {
    const sure = Math.abs(map[i] - 127.5) / 127.5;
    const tint = map[i] < 127.5 ? first : second;
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = paper[c] + (tint[c] - paper[c]) * 0.5 * (0.12 + 0.88 * sure);
    image.data[4 * i + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
  return small;
}

/** The three parts of #rrggbb. */
export function rgb(colour: string): [number, number, number] {
  const value = parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

const SHOWN_DIGITS = 40;

/** Digits and what they are taken for; what is wrong is framed. */
export function drawDigits(canvas: HTMLCanvasElement, lane: LaneName, { data, seen }: Lanes, colours: Palette): void {
  const { pen, width, height } = prepared(canvas);
  const across = Math.max(5, Math.round(Math.sqrt((SHOWN_DIGITS * width) / (height * 0.78))));
  const cell = width / across;
  const size = Math.min(cell * 0.62, (height / Math.ceil(SHOWN_DIGITS / across)) * 0.8);
  const tall = height / Math.ceil(SHOWN_DIGITS / across);
  const ink = rgb(colours.ink);
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  const pixel = size / 8;
  for (let r = 0; r < Math.min(SHOWN_DIGITS, data.y.length); r++) {
    const [left, top] = [(r % across) * cell + 2, Math.floor(r / across) * tall + 2];
    for (let j = 0; j < 64; j++) {
      const dark = Math.min(Math.max((data.x[64 * r + j] + 0.9) / 3, 0), 1);
      if (dark < 0.08) continue;
      pen.fillStyle = `rgba(${ink.join(",")},${dark.toFixed(2)})`;
      pen.fillRect(left + (j % 8) * pixel, top + Math.floor(j / 8) * pixel, pixel + 0.3, pixel + 0.3);
    }
    const right = seen[lane].answers[r] === data.y[r];
    pen.fillStyle = right ? colours.faint : colours.chaotic;
    pen.fillText(String(seen[lane].answers[r]), left + size + 3, top + size / 2);
    if (!right) {
      pen.strokeStyle = colours.chaotic;
      pen.lineWidth = 1.5;
      pen.strokeRect(left - 1, top - 1, size + 2, size + 2);
    }
  }
}

const SHOWN_LAYERS = 8;

/** Histograms of layers, one above the other, on one axis; a bar's height is the root of its count, so few show too. */
export function drawHistograms(
  canvas: HTMLCanvasElement,
  lane: LaneName,
  { low, high, counts }: Histograms,
  xTitle: string,
  colours: Palette,
  number: (value: number) => string = told,
): void {
  const { pen, width, height } = prepared(canvas);
  const count = Math.min(SHOWN_LAYERS, counts.length);
  const chosen = Array.from({ length: count }, (_, i) => Math.round((i * (counts.length - 1)) / Math.max(count - 1, 1)));
  const box = { left: 30, top: 4, width: width - 40, height: height - 40 };
  const room = box.height / Math.max(count, 1);
  pen.textBaseline = "middle";
  chosen.forEach((layer, i) => {
    const floor = box.top + (i + 1) * room;
    const most = Math.max(...counts[layer], 1);
    const wide = box.width / counts[layer].length;
    pen.fillStyle = colours[lane];
    pen.globalAlpha = 0.8;
    counts[layer].forEach((found, bin) => {
      const tall = found === 0 ? 0 : Math.max(Math.sqrt(found / most) * room * 0.88, 1);
      pen.fillRect(box.left + bin * wide, floor - tall, wide - 0.5, tall);
    });
    pen.globalAlpha = 1;
    pen.strokeStyle = colours.grid;
    line(pen, [[box.left, floor + 0.5], [box.left + box.width, floor + 0.5]]);
    pen.fillStyle = colours.faint;
    pen.textAlign = "right";
    pen.fillText(String(layer + 1), box.left - 6, floor - room / 2);
  });
  pen.textAlign = "center";
  pen.textBaseline = "top";
  pen.fillStyle = colours.faint;
  for (const share of [0, 0.5, 1]) {
    pen.textAlign = share === 0 ? "left" : share === 1 ? "right" : "center";
    pen.fillText(number(low + share * (high - low)), box.left + share * box.width, box.top + box.height + 5);
  }
  pen.textAlign = "center";
  pen.fillText(xTitle, box.left + box.width / 2, height - 14);
}
