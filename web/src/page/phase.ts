/** The phase diagram: chi_1 over a plane of sigma_w and sigma_b, the edge of chaos, and both networks' points. */

import type { Activation } from "../numerics/activations";
import { chiFromTable, edgeCurve, type EdgePoint, momentTable } from "../numerics/theory";
import { axes, dot, inside, line, type Palette, placeOn } from "./chart";
import { rgb } from "./views";
import { type LaneName, LANES, MOST_SIGMA_B, MOST_SIGMA_W } from "./state";

const COLUMNS = 80;
const ROWS = 40;
const X = { low: 0, high: MOST_SIGMA_W };
const Y = { low: 0, high: MOST_SIGMA_B };

interface Plane {
  readonly chi: Float64Array;
  readonly edge: EdgePoint[];
}

const KNOWN = new Map<string, Plane>();
const PAINTED = new Map<string, HTMLCanvasElement>();

function planeOf(f: Activation): Plane {
  const known = KNOWN.get(f.name);
  if (known !== undefined) return known;
  const table = momentTable(f);
  const chi = Float64Array.from({ length: COLUMNS * ROWS }, (_, i) => {
    const sigmaW = ((i % COLUMNS) + 0.5) * (X.high / COLUMNS);
    const sigmaB = (ROWS - 0.5 - Math.floor(i / COLUMNS)) * (Y.high / ROWS);
    return chiFromTable(table, sigmaW * sigmaW, sigmaB * sigmaB);
  });
  const plane = { chi, edge: edgeCurve(f) };
  KNOWN.set(f.name, plane);
  return plane;
}

/** Blue where gradients vanish, red where they explode, the paler the nearer to the edge. */
function painted(f: Activation, colours: Palette): HTMLCanvasElement {
  const key = [f.name, colours.paper].join();
  const known = PAINTED.get(key);
  if (known !== undefined) return known;
  const small = document.createElement("canvas");
  small.width = COLUMNS;
  small.height = ROWS;
  const pen = small.getContext("2d");
  if (pen === null) return small;
  const { chi } = planeOf(f);
  const image = pen.createImageData(COLUMNS, ROWS);
  const [paper, ordered, chaotic] = [colours.paper, colours.ordered, colours.chaotic].map(rgb);
  chi.forEach((value, i) => {
    const share = Math.min(Math.abs(Math.log(value)) / 1.5, 1) * 0.55 + 0.1;
    const tint = value < 1 ? ordered : chaotic;
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = paper[c] + (tint[c] - paper[c]) * share;
    image.data[4 * i + 3] = 255;
  });
  pen.putImageData(image, 0, 0);
  PAINTED.set(key, small);
  return small;
}

export interface Point {
  readonly sigmaW: number;
  readonly sigmaB: number;
}

/** Draw the plane of an activation with the points of the networks that have it; the other's is hollow. */
export function drawPhase(
  canvas: HTMLCanvasElement,
  f: Activation,
  points: Record<LaneName, (Point & { readonly own: boolean }) | null>,
  colours: Palette,
): void {
  const { pen, box } = axes(canvas, { x: X, y: Y, xTitle: "σw" }, colours);
  pen.imageSmoothingEnabled = true;
  pen.drawImage(painted(f, colours), box.left, box.top, box.width, box.height);
  const at = (sigmaW: number, sigmaB: number): [number, number] => [
    box.left + placeOn(X, sigmaW) * box.width,
    box.top + (1 - placeOn(Y, sigmaB)) * box.height,
  ];
  const { chi } = planeOf(f);
  pen.textBaseline = "top";
  pen.fillStyle = colours.ink;
  pen.textAlign = "left";
  if (chi.some((value) => value < 1)) pen.fillText("ordered: gradients vanish", box.left + 6, box.top + 6);
  pen.textAlign = "right";
  if (chi.some((value) => value > 1)) pen.fillText("chaotic: they explode", box.left + box.width - 6, box.top + box.height - 18);
  inside(pen, box, () => {
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 2;
    const { edge } = planeOf(f);
    line(pen, edge.map(({ sigmaW, sigmaB }) => at(sigmaW, sigmaB)));
    // The edge of two straight lines is one point.
    if (f.below !== undefined && edge.length > 0) {
      pen.fillStyle = colours.ink;
      dot(pen, "A", ...at(edge[0].sigmaW, 0), 5);
    }
    for (const lane of LANES) {
      const point = points[lane];
      if (point === null) continue;
      const [x, y] = at(Math.min(point.sigmaW, MOST_SIGMA_W), Math.min(point.sigmaB, MOST_SIGMA_B));
      pen.fillStyle = point.own ? colours[lane] : colours.paper;
      pen.strokeStyle = point.own ? colours.paper : colours[lane];
      pen.lineWidth = 2;
      dot(pen, lane, x, y, 8);
      pen.stroke();
      pen.fillStyle = point.own ? colours.paper : colours[lane];
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(lane, x, y + 0.5);
    }
  });
  pen.fillStyle = colours.faint;
  pen.textAlign = "left";
  pen.textBaseline = "bottom";
  pen.fillText("σb", 6, box.top + 16);
}

/** The sigma_w and sigma_b under a place of the canvas, in CSS pixels from its corner. */
export function pointAt(canvas: HTMLCanvasElement, x: number, y: number): Point {
  const width = canvas.clientWidth - 52;
  const height = canvas.clientHeight - 42;
  return kept({ sigmaW: ((x - 42) / width) * X.high, sigmaB: (1 - (y - 8) / height) * Y.high });
}

/** The point kept inside the diagram, in steps of a thousandth. */
export function kept({ sigmaW, sigmaB }: Point): Point {
  const round = (value: number, low: number, high: number): number =>
    Math.round(1000 * Math.min(Math.max(value, low), high)) / 1000;
  return { sigmaW: round(sigmaW, 0.05, X.high), sigmaB: round(sigmaB, 0, Y.high) };
}
