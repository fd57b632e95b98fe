/** The settings: a row each, a column a network. Values go out as text and come back from the state. */

import { ACTIVATIONS } from "../numerics/activations";
import { SCHEMES } from "../numerics/schemes";
import { choicesOf, type Lane, type LaneName, LANES, type State } from "./state";

interface Row {
  readonly field: keyof Lane;
  readonly title: string;
  readonly names?: Readonly<Record<string, string>>;
}

const named = (rows: readonly { name: string; title: string }[]): Record<string, string> =>
  Object.fromEntries(rows.map(({ name, title }) => [name, title]));

const ROWS: readonly Row[] = [
  { field: "scheme", title: "start", names: named(SCHEMES) },
  { field: "activation", title: "activation", names: named(ACTIVATIONS) },
  { field: "depth", title: "hidden layers" },
  { field: "width", title: "units a layer" },
  { field: "norm", title: "norm", names: { none: "none", layer: "layer norm", batch: "batch norm" } },
  { field: "residual", title: "skips", names: { false: "none", true: "h + f(z)" } },
  { field: "optimizer", title: "optimizer", names: { sgd: "SGD", momentum: "momentum", adam: "Adam" } },
  { field: "rate", title: "learning rate" },
];

/** An element with text and attributes. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A select of values with their names. */
export function select(
  id: string,
  options: readonly (readonly [string, string])[],
  chosen: (value: string) => void,
  label?: string,
): HTMLSelectElement {
  const made = element("select", label === undefined ? { id } : { id, "aria-label": label });
  for (const [value, name] of options) made.append(element("option", { value }, name));
  made.addEventListener("change", () => chosen(made.value));
  return made;
}

/** Build the table of settings; returns what brings it up to a state. */
export function buildControls(
  table: HTMLTableElement,
  changed: (lane: LaneName, field: keyof Lane, value: string) => void,
): (state: State) => void {
  const body = element("tbody");
  const selects: { lane: LaneName; field: keyof Lane; made: HTMLSelectElement }[] = [];
  for (const { field, title, names } of ROWS) {
    const row = element("tr", {}, element("th", { scope: "row" }, title));
    for (const lane of LANES) {
      const options = choicesOf(field).map((value) => [String(value), names?.[String(value)] ?? String(value)] as const);
      const made = select(`${lane}-${field}`, options, (value) => changed(lane, field, value), `${title} of ${lane}`);
      selects.push({ lane, field, made });
      row.append(element("td", {}, made));
    }
    body.append(row);
  }
  table.append(body);
  return (state) => {
    for (const { lane, field, made } of selects) made.value = String(state[lane][field]);
  };
}
