/** A small chart on a canvas: axes, lines, dots. Data in, ink out; nothing is kept. */

export interface Palette {
  readonly ink: string;
  readonly faint: string;
  readonly grid: string;
  readonly paper: string;
  readonly A: string;
  readonly B: string;
  readonly ordered: string;
  readonly chaotic: string;
}

/** The colours of the style sheet as it stands. */
export function palette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: read("ink"),
    faint: read("faint"),
    grid: read("grid"),
    paper: read("paper"),
    A: read("a"),
    B: read("b"),
    ordered: read("ordered"),
    chaotic: read("chaotic"),
  };
}

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The canvas cleared and scaled to its size on the page, in CSS pixels. */
export function prepared(canvas: HTMLCanvasElement): { pen: CanvasRenderingContext2D; width: number; height: number } {
  const pen = canvas.getContext("2d");
  if (pen === null) throw new Error("this browser draws no canvas");
  const dense = Math.min(window.devicePixelRatio || 1, 2);
  const width = canvas.clientWidth || 300;
  const height = canvas.clientHeight || 180;
  if (canvas.width !== Math.round(width * dense) || canvas.height !== Math.round(height * dense)) {
    canvas.width = Math.round(width * dense);
    canvas.height = Math.round(height * dense);
  }
  pen.setTransform(dense, 0, 0, dense, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  pen.lineJoin = "round";
  return { pen, width, height };
}

export interface Scale {
  readonly low: number;
  readonly high: number;
  readonly log?: boolean;
}

/** Where a value lies on an axis, 0 to 1; beyond its ends for what is beyond, not a number for what has no place. */
export function placeOn(scale: Scale, value: number): number {
  if (scale.log) return (Math.log10(value) - Math.log10(scale.low)) / (Math.log10(scale.high) - Math.log10(scale.low));
  return (value - scale.low) / (scale.high - scale.low);
}

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** A number for an axis: powers of ten as such. */
export function told(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e4 || size < 1e-3) {
    const power = Math.round(Math.log10(size));
    const raised = [...String(Math.abs(power))].map((digit) => RAISED[Number(digit)]).join("");
    return `10${power < 0 ? "⁻" : ""}${raised}`;
  }
  return String(Number(value.toPrecision(3)));
}

/** Round numbers of an axis, at most about `most`. */
export function ticks(scale: Scale, most: number): number[] {
  if (scale.log) {
    const [from, to] = [Math.log10(scale.low), Math.log10(scale.high)];
    const step = Math.max(1, Math.ceil((to - from) / most));
    const found: number[] = [];
    for (let power = Math.ceil(from / step - 1e-9) * step; power <= to + 1e-9; power += step) found.push(10 ** power);
    return found;
  }
  const rough = (scale.high - scale.low) / most;
  const decade = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * decade).find((one) => one >= rough * 0.999) ?? 10 * decade;
  const found: number[] = [];
  for (let k = Math.ceil(scale.low / step - 1e-9); k * step <= scale.high + 1e-9 * step; k++) found.push(k * step);
  return found;
}

export interface Axes {
  readonly x: Scale;
  readonly y: Scale;
  readonly xTitle: string;
  readonly whole?: boolean;
}

/** Grid, numbers and the title of the lower axis; returns the box in which data are drawn. */
export function axes(canvas: HTMLCanvasElement, { x, y, xTitle }: Axes, colours: Palette): { pen: CanvasRenderingContext2D; box: Box } {
  const { pen, width, height } = prepared(canvas);
  const box = { left: 42, top: 8, width: width - 52, height: height - 42 };
  pen.lineWidth = 1;
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  for (const value of ticks(y, 5)) {
    const at = Math.round(box.top + (1 - placeOn(y, value)) * box.height) + 0.5;
    pen.strokeStyle = colours.grid;
    line(pen, [[box.left, at], [box.left + box.width, at]]);
    pen.fillStyle = colours.faint;
    pen.fillText(told(value), box.left - 5, at);
  }
  pen.textBaseline = "top";
  pen.textAlign = "center";
  for (const value of ticks(x, Math.max(4, Math.floor(width / 80)))) {
    if (!Number.isInteger(value) && x.low === 1) continue;
    pen.fillText(told(value), box.left + placeOn(x, value) * box.width, box.top + box.height + 5);
  }
  pen.fillText(xTitle, box.left + box.width / 2, height - 14);
  return { pen, box };
}

/** A stroke through points; a point that is not a number interrupts it. */
export function line(pen: CanvasRenderingContext2D, points: readonly (readonly [number, number])[]): void {
  pen.beginPath();
  let broken = true;
  for (const [x, y] of points) {
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      broken = true;
    } else if (broken) {
      pen.moveTo(x, y);
      broken = false;
    } else {
      pen.lineTo(x, y);
    }
  }
  pen.stroke();
}

/** A dot of A is round, one of B a square on its corner: colour is not all that tells them. */
export function dot(pen: CanvasRenderingContext2D, lane: "A" | "B", x: number, y: number, size: number): void {
  if (!Number.isFinite(x) || !Number.isFinite(y)) return;
  pen.beginPath();
  if (lane === "A") {
    pen.arc(x, y, size, 0, 2 * Math.PI);
  } else {
    const r = size * 1.25;
    pen.moveTo(x, y - r);
    pen.lineTo(x + r, y);
    pen.lineTo(x, y + r);
    pen.lineTo(x - r, y);
    pen.closePath();
  }
  pen.fill();
}

/** Draw inside a box alone. */
export function inside(pen: CanvasRenderingContext2D, box: Box, draw: () => void): void {
  pen.save();
  pen.beginPath();
  pen.rect(box.left - 4, box.top - 4, box.width + 8, box.height + 8);
  pen.clip();
  draw();
  pen.restore();
}
