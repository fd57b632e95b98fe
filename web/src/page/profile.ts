/** A model's own profile, from what `initlab probe --json` writes: the same pictures, with theory where it is known. */

import { axes, dot, inside, line, type Palette, placeOn } from "./chart";
import { element } from "./controls";
import { decades, drawHistograms } from "./views";

interface Compared {
  readonly predicted: number | null;
  readonly measured: number | null;
}

interface Row {
  readonly path: string;
  readonly f: string;
  readonly is_hidden: boolean;
  readonly signal: Compared;
  readonly gradient: Compared;
  readonly cosine: Compared;
}

interface Histogram {
  readonly path: string;
  readonly low: number;
  readonly high: number;
  readonly counts: readonly number[];
}

export interface Profile {
  readonly model: string;
  readonly framework: string;
  readonly samples: number;
  readonly headline: string;
  readonly rows: readonly Row[];
  readonly signals: readonly Histogram[];
  readonly gradients: readonly Histogram[];
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

function compared(value: unknown): Compared {
  const number = (one: unknown): number | null => (typeof one === "number" && Number.isFinite(one) ? one : null);
  return isObject(value)
    ? { predicted: number(value["predicted"]), measured: number(value["measured"]) }
    : { predicted: null, measured: null };
}

function histograms(value: unknown): Histogram[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((one: unknown) => {
    if (!isObject(one) || !Array.isArray(one["counts"]) || one["counts"].length === 0) return [];
    const [low, high] = [Number(one["low"]), Number(one["high"])];
    if (!(low < high)) return [];
    const counts = one["counts"].map((count) => Math.max(Number(count) || 0, 0));
    return [{ path: String(one["path"]), low, high, counts }];
  });
}

/** The profile in a JSON text; a text that holds none throws, with what to do. */
export function readProfile(text: string): Profile {
  const whole: unknown = JSON.parse(text);
  const profile = isObject(whole) && isObject(whole["profile"]) ? whole["profile"] : whole;
  if (!isObject(profile) || !Array.isArray(profile["rows"])) {
    throw new Error("this file holds no profile: write one with initlab probe package.module:build --json > profile.json");
  }
  const rows = profile["rows"].filter(isObject).map((row) => ({
    path: String(row["path"]),
    f: String(row["f"] ?? ""),
    is_hidden: row["is_hidden"] === true,
    signal: compared(row["signal"]),
    gradient: compared(row["gradient"]),
    cosine: compared(row["cosine"]),
  }));
  const diagnosis = isObject(whole) && isObject(whole["diagnosis"]) ? whole["diagnosis"] : {};
  const findings: unknown = diagnosis["findings"];
  const kinds = Array.isArray(findings) ? findings.filter(isObject).map((one) => String(one["kind"])) : [];
  const found = isObject(profile["histograms"]) ? profile["histograms"] : {};
  return {
    model: String(profile["model"]),
    framework: String(profile["framework"]),
    samples: Number(profile["samples"]),
    headline: [String(diagnosis["verdict"] ?? ""), [...new Set(kinds)].join(", ")].filter((word) => word !== "").join(": "),
    rows,
    signals: histograms(found["signal"]),
    gradients: histograms(found["gradient"]),
  };
}

function drawRows(canvas: HTMLCanvasElement, rows: readonly Compared[], colours: Palette, isShare: boolean): void {
  const numbers = rows.flatMap(({ predicted, measured }) => [predicted ?? NaN, measured ?? NaN]);
  const y = isShare ? { low: Math.min(...numbers, 0) < -0.02 ? -1 : 0, high: 1 } : decades(numbers);
  const x = { low: 1, high: Math.max(rows.length, 2) };
  const { pen, box } = axes(canvas, { x, y, xTitle: "layer" }, colours);
  const at = (i: number, value: number | null): [number, number] => [
    box.left + placeOn(x, i + 1) * box.width,
    value === null || (!isShare && value <= 0) ? NaN : box.top + (1 - Math.min(Math.max(placeOn(y, value), -0.1), 1.1)) * box.height,
  ];
  inside(pen, box, () => {
    pen.strokeStyle = pen.fillStyle = colours.A;
    pen.lineWidth = 2.5;
    pen.globalAlpha = 0.75;
    line(pen, rows.map(({ predicted }, i) => at(i, predicted)));
    pen.globalAlpha = 1;
    rows.forEach(({ measured }, i) => dot(pen, "A", ...at(i, measured), rows.length > 25 ? 2.6 : 4));
  });
}

/** Common bins for histograms of other ends: each count goes to the bin that holds its own bin's middle. */
function onCommonAxis(found: readonly Histogram[], bins: number): { low: number; high: number; counts: Uint32Array[] } {
  const low = Math.min(...found.map((one) => one.low));
  const high = Math.max(...found.map((one) => one.high));
  const counts = found.map((one) => {
    const row = new Uint32Array(bins);
    one.counts.forEach((count, i) => {
      const middle = one.low + ((i + 0.5) * (one.high - one.low)) / one.counts.length;
      row[Math.min(Math.floor(((middle - low) / (high - low)) * bins), bins - 1)] += count;
    });
    return row;
  });
  return { low, high, counts };
}

/** Build the view of a profile into a section; returns what draws it again. */
export function showProfile(section: HTMLElement, profile: Profile): (colours: Palette) => void {
  const figure = (title: string, label: string): HTMLCanvasElement => {
    const canvas = element("canvas", { role: "img", "aria-label": label });
    section.append(element("figure", { class: "card" }, element("figcaption", {}, element("h3", {}, title)), canvas));
    return canvas;
  };
  const heading = element("h2", { tabindex: "-1" }, `Your model: ${profile.model}`);
  const facts = `${profile.framework}, ${profile.rows.length} layers, ${profile.samples} ${profile.samples === 1 ? "sample" : "samples"}. ${profile.headline}`;
  section.replaceChildren(heading, element("p", {}, facts));
  const hidden = profile.rows;
  const signal = figure("Signal by layer: E[z²]", `E of z squared in ${hidden.length} layers, measured and by theory`);
  const gradient = figure("Squared gradient by layer: E[(∂L/∂z)²]", "mean squared gradient by layer, measured and by theory");
  const alike = hidden.some((row) => row.cosine.measured !== null);
  const cosine = alike ? figure("Correlation of two samples", "cosine of two samples by layer, measured and by theory") : null;
  const signals = profile.signals.length > 0 ? figure("Histograms of z", "histograms of the weighted sums by layer") : null;
  const gradients = profile.gradients.length > 0 ? figure("Histograms of ∂L/∂z", "histograms of the gradients by layer") : null;
  section.append(numbersOf(profile));
  section.hidden = false;
  heading.focus();
  return (colours) => {
    drawRows(signal, hidden.map((row) => row.signal), colours, false);
    drawRows(gradient, hidden.map((row) => row.gradient), colours, false);
    if (cosine !== null) drawRows(cosine, hidden.map((row) => row.cosine), colours, true);
    if (signals !== null) drawHistograms(signals, "A", onCommonAxis(profile.signals, 60), "z", colours);
    if (gradients !== null) drawHistograms(gradients, "A", onCommonAxis(profile.gradients, 60), "∂L/∂z", colours);
  };
}

function numbersOf(profile: Profile): HTMLElement {
  const number = (value: number | null): string => (value === null ? "not known" : value.toPrecision(3));
  const head = ["layer", "name", "f", "E[z²]", "theory", "E[(∂L/∂z)²]", "theory"].map((title) => element("th", { scope: "col" }, title));
  const body = profile.rows.map((row, i) =>
    element(
      "tr",
      {},
      ...[
        String(i + 1), row.path, row.f,
        number(row.signal.measured), number(row.signal.predicted),
        number(row.gradient.measured), number(row.gradient.predicted),
      ].map((text) => element("td", {}, text)),
    ),
  );
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  const scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "the profile's numbers" }, table);
  return element("details", { class: "card" }, element("summary", {}, "The numbers"), scroll);
}
