/** The page: state in, pictures out. */

import { type Data, DATA_NAMES, makePoints, readDigits } from "../data";
import { activation } from "../numerics/activations";
import { type Course, courseOf, squaresOf } from "../numerics/course";
import { stdOf } from "../numerics/draws";
import type { Arch } from "../numerics/net";
import { lawsOf, scheme, type Start } from "../numerics/schemes";
import { moments, qStar } from "../numerics/theory";
import type { Racer, Snapshot } from "../protocol";
import { type Palette, palette, told } from "./chart";
import { buildControls, element, select } from "./controls";
import { drawPhase, kept, type Point, pointAt } from "./phase";
import { PRESETS, presetOf } from "./presets";
import { readProfile, showProfile } from "./profile";
import { LONGEST, Race } from "./race";
import {
  type Lane, type LaneName, LANES, MOST_SIGMA_B, MOST_SIGMA_W, readState, SPEEDS, type State, withField, writeState,
} from "./state";
import { buildTour } from "./tour";
import {
  correlationOf, drawByLayer, drawDigits, drawHistograms, drawLoss, drawMap, gradientOf, type Lanes, signalOf,
} from "./views";

/** The element of an id, which the page has. */
function at<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} ${id}`);
  return found;
}

const canvas = (id: string): HTMLCanvasElement => at(id, HTMLCanvasElement);

const USUAL = PRESETS[0].state;
let state: State = USUAL;
let colours: Palette = palette();
let lanes: Lanes | null = null;
let playing = false;
/** Whether the first layers of the race are still those of the theory's lines: nothing was trained. */
let drawn = true;
let drawProfile: ((colours: Palette) => void) | null = null;
let digits: Promise<Data> | null = null;
let begun = 0;

const race = new Race(seen);

// From the state to a race

function archOf(lane: Lane, data: Data): Arch {
  const widths = [data.features, ...new Array<number>(lane.depth).fill(lane.width), data.classes];
  return { widths, activation: lane.activation, norm: lane.norm, residual: lane.residual };
}

function racerOf(lane: Lane, data: Data): Racer {
  const start: Start = { scheme: lane.scheme, sigmaW: lane.sigmaW, sigmaB: lane.sigmaB };
  return { arch: archOf(lane, data), start, seed: state.seed, optimizer: lane.optimizer, rate: lane.rate };
}

/** The sigma_w and sigma_b of a lane's inner layers; their weights may have any scheme. */
function pointOf(lane: Lane): Point {
  const arch: Arch = { widths: [lane.width, lane.width, lane.width], activation: lane.activation, norm: "none", residual: false };
  const { weight, bias } = lawsOf(arch, lane)[1];
  return { sigmaW: stdOf(weight) * Math.sqrt(lane.width), sigmaB: stdOf(bias) };
}

/** The digits, from a script of their own that is asked for once; a script, for file:// lets nothing else be read. */
function loadDigits(): Promise<Data> {
  digits ??= new Promise((resolve, reject) => {
    const script = element("script", { src: "digits.js" });
    script.addEventListener("load", () => resolve(readDigits((window as { initlabDigits?: string }).initlabDigits ?? "")));
    script.addEventListener("error", () => reject(new Error("digits.js is not beside this page")));
    document.head.append(script);
  });
  return digits;
}

/** Put both networks at their start, and theory's lines with them. */
async function begin(): Promise<void> {
  const mine = ++begun;
  let data: Data;
  try {
    data = state.data === "digits" ? await loadDigits() : makePoints(state.data, state.seed);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return;
  }
  if (mine !== begun) return;
  const squares = squaresOf(data.x, data.features);
  const racers = { A: racerOf(state.A, data), B: racerOf(state.B, data) };
  const course = ({ arch, start }: Racer): Course => courseOf(arch, start, squares);
  started = { data, courses: { A: course(racers.A), B: course(racers.B) } };
  lanes = null;
  drawn = true;
  race.begin(racers, data);
}

let started: Pick<Lanes, "data" | "courses"> | null = null;

/** Both networks have answered. */
function seen(both: Record<LaneName, Snapshot>): void {
  if (started === null) return;
  const { data, courses } = started;
  const losses = (lane: LaneName): readonly number[] => {
    const before = lanes?.losses[lane] as number[] | undefined;
    if (before === undefined) return [...both[lane].losses];
    before.push(...both[lane].losses);
    return before;
  };
  const map = (lane: LaneName): Uint8Array | null => both[lane].map ?? lanes?.maps[lane] ?? null;
  lanes = { data, courses, seen: both, losses: { A: losses("A"), B: losses("B") }, maps: { A: map("A"), B: map("B") } };
  drawn = false;
  window.requestAnimationFrame(draw);
  if (both.A.step >= LONGEST || (both.A.diverged && both.B.diverged)) play(false);
}

// Pictures

const GROUPS: readonly (() => void)[] = [
  () => {
    if (lanes === null) return;
    const drawAnswers = lanes.data.classes > 2 ? drawDigits : drawMap;
    for (const lane of LANES) {
      // The points do not move: while a race runs a map is drawn when there is a new one.
      const fresh = !playing || lanes.data.classes > 2 || lanes.seen[lane].map !== null;
      if (fresh) drawAnswers(canvas(`${lane}-map`), lane, lanes, colours);
    }
    drawLoss(canvas("loss"), lanes, colours);
    showScores(lanes);
  },
  () => {
    if (lanes === null) return;
    drawByLayer(canvas("signal"), signalOf(lanes), colours);
    drawByLayer(canvas("gradient"), gradientOf(lanes), colours);
    drawByLayer(canvas("correlation"), correlationOf(lanes), colours);
  },
  () => {
    if (lanes === null) return;
    for (const lane of LANES) {
      drawHistograms(canvas(`${lane}-activations`), lane, lanes.seen[lane].activations, "f(z)", colours);
      const power = (value: number): string => told(10 ** value);
      drawHistograms(canvas(`${lane}-gradients`), lane, lanes.seen[lane].gradients, "|∂L/∂z|", colours, power);
    }
  },
];

let turn = 0;

/** The maps and the loss in every frame, the others in turn while a race runs, so that no frame is long. */
function draw(): void {
  if (lanes === null || drawn) return;
  drawn = true;
  GROUPS[0]();
  if (playing) {
    turn = 3 - Math.max(turn, 1);
    GROUPS[turn]();
  } else {
    GROUPS[1]();
    GROUPS[2]();
    describe(lanes);
  }
}

function drawAll(): void {
  colours = palette();
  GROUPS.forEach((group) => group());
  drawPlane();
  drawProfile?.(colours);
}

/** The lane whose activation the plane is of. */
let planeLane: LaneName = "A";

function drawPlane(): void {
  const f = activation(state[planeLane].activation);
  at("phase-name", HTMLElement).textContent = f.title;
  const point = (lane: LaneName): (Point & { own: boolean }) | null => {
    const found = pointOf(state[lane]);
    return { ...found, own: state[lane].activation === f.name };
  };
  drawPhase(canvas("phase"), f, { A: point("A"), B: point("B") }, colours);
  const words = LANES.map((lane) => {
    const { sigmaW, sigmaB } = pointOf(state[lane]);
    return `${lane} at sigma w ${told(sigmaW)}, sigma b ${told(sigmaB)}`;
  });
  canvas("phase").setAttribute("aria-label", `phase diagram of ${f.title}: ${words.join("; ")}; ${planeLane} moves`);
}

const percent = (share: number): string => `${(100 * share).toFixed(share === 1 || share === 0 ? 0 : 1)} %`;

function lossOf(snapshot: Snapshot): number {
  return snapshot.losses[snapshot.losses.length - 1];
}

function lossText(loss: number): string {
  if (!Number.isFinite(loss)) return "beyond all numbers";
  return loss >= 1e4 ? told(loss) : loss < 5e-5 ? "below 0.0001" : loss.toFixed(4);
}

function showScores(now: Lanes): void {
  for (const lane of LANES) {
    const snapshot = now.seen[lane];
    const score = snapshot.diverged
      ? `diverged at step ${snapshot.step}`
      : `loss ${lossText(lossOf(snapshot))} · ${percent(snapshot.accuracy)} right`;
    at(`${lane}-score`, HTMLElement).textContent = score;
  }
  at("step", HTMLElement).textContent = `step ${Math.max(now.seen.A.step, now.seen.B.step)}`;
}

/** What a picture shows, in words: for who cannot see it, and as a table. */
function describe(now: Lanes): void {
  const ends = (values: ArrayLike<number>): string => {
    const hidden = Array.from(values).slice(0, -1);
    // Two inputs of which one has no signal have no correlation.
    const word = (value: number): string => (Number.isNaN(value) ? "none" : told(value));
    return `${word(hidden[0])} in layer 1, ${word(hidden[hidden.length - 1])} in layer ${hidden.length}`;
  };
  const both = (of: (lane: LaneName) => string): string => LANES.map((lane) => `${lane}: ${of(lane)}`).join("; ");
  const label = (id: string, text: string): void => canvas(id).setAttribute("aria-label", text);
  label("signal", `E of z squared. ${both((lane) => ends(now.seen[lane].signal))}`);
  label("gradient", `squared gradient. ${both((lane) => ends(now.seen[lane].gradient))}`);
  label("correlation", `correlation of two inputs. ${both((lane) => ends(now.seen[lane].correlation))}`);
  const scores = both((lane) => `loss ${lossText(lossOf(now.seen[lane]))}, ${percent(now.seen[lane].accuracy)} right`);
  label("loss", `loss by step, now step ${now.seen.A.step}. ${scores}`);
  for (const lane of LANES) {
    label(`${lane}-map`, `what ${lane} answers where: ${percent(now.seen[lane].accuracy)} of the rows right`);
  }
  if (now.seen.A.step > 0) say(`Step ${now.seen.A.step}. ${scores}.`);
  fillTable(now);
}

function fillTable(now: Lanes): void {
  const cell = (values: ArrayLike<number>, i: number): string => (i < values.length ? values[i].toPrecision(3) : "");
  const depth = Math.max(now.seen.A.signal.length, now.seen.B.signal.length);
  const rows = Array.from({ length: depth }, (_, i) => {
    const texts = LANES.flatMap((lane) => [
      cell(now.seen[lane].signal, i), cell(now.courses[lane].signal, i), cell(now.seen[lane].gradient, i),
    ]);
    return element("tr", {}, ...[String(i + 1), ...texts].map((text) => element("td", {}, text)));
  });
  at("rows", HTMLElement).replaceChildren(...rows);
}

function say(text: string): void {
  at("status", HTMLElement).textContent = text;
}

// Changes

function play(wanted: boolean): void {
  playing = wanted;
  const button = at("play", HTMLButtonElement);
  button.textContent = wanted ? "Pause" : "Train";
  if (wanted) race.run(state.speed === "full" ? Infinity : Number(state.speed));
  else race.pause();
  drawn = false;
  window.requestAnimationFrame(draw);
}

/** Take a state: show it, keep it in the address, and put both networks at its start. */
function take(next: State, { restart = true, keep = true } = {}): void {
  state = next;
  showState();
  if (keep) keepAddress();
  if (restart) void begin();
  else if (playing) play(true);
}

let keeping = 0;

/** Write the address once a choice rests: browsers refuse a hundred writes a second. */
function keepAddress(): void {
  window.clearTimeout(keeping);
  keeping = window.setTimeout(() => {
    const preset = presetOf(state.preset)?.state ?? USUAL;
    const profile = new URLSearchParams(window.location.hash.slice(1)).has("profile") ? "profile=1&" : "";
    window.history.replaceState(null, "", `#${profile}${writeState(state, preset)}`);
  }, 120);
}

function change(lane: LaneName, next: Lane): void {
  if (next === state[lane]) return;
  take({ ...state, [lane]: next });
}

/** Move a lane's point: it then starts normal, with this sigma_w and sigma_b. */
function move(lane: LaneName, to: Point): void {
  const { sigmaW, sigmaB } = kept(to);
  change(lane, { ...state[lane], scheme: "sigma", sigmaW, sigmaB });
}

function setNVar(lane: LaneName, power: number): void {
  move(lane, { sigmaW: Math.sqrt(10 ** power), sigmaB: pointOf(state[lane]).sigmaB });
}

let updateControls: (state: State) => void = () => undefined;

function showState(): void {
  updateControls(state);
  at("data", HTMLSelectElement).value = state.data;
  at("speed", HTMLSelectElement).value = state.speed;
  at("seed", HTMLInputElement).value = String(state.seed);
  const preset = presetOf(state.preset) ?? PRESETS[0];
  for (const button of at("presets", HTMLElement).querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset["preset"] === preset.name));
  }
  at("look", HTMLElement).textContent = preset.look;
  at("question", HTMLElement).textContent = preset.question;
  at("answer", HTMLElement).textContent = preset.answer;
  for (const lane of LANES) showLane(lane, state[lane]);
  drawPlane();
}

function showLane(lane: LaneName, now: Lane): void {
  const extras = [now.norm === "none" ? "" : `${now.norm} norm`, now.residual ? "skips" : ""].filter((word) => word !== "");
  const start = now.scheme === "sigma" ? `σw ${told(now.sigmaW)}, σb ${told(now.sigmaB)}` : scheme(now.scheme).title;
  const shape = `${now.depth}×${now.width} ${activation(now.activation).title}`;
  at(`${lane}-name`, HTMLElement).textContent = [start, shape, ...extras].join(" · ");
  const { sigmaW, sigmaB } = pointOf(now);
  const power = Math.log10(Math.max(sigmaW * sigmaW, 1e-6));
  const slider = at(`${lane}-nvar`, HTMLInputElement);
  slider.value = String(power);
  const text = effect(now, sigmaW * sigmaW, sigmaB * sigmaB);
  slider.setAttribute("aria-valuetext", `${told(sigmaW * sigmaW)}: ${text}`);
  at(`${lane}-effect`, HTMLElement).textContent = `${told(sigmaW * sigmaW)}: ${text}`;
  const bias = at(`${lane}-sigmab`, HTMLInputElement);
  bias.value = String(sigmaB);
  at(`${lane}-sigmab-out`, HTMLElement).textContent = told(sigmaB);
}

/** What weights of n Var w do to the signal and the squared gradient of a wide net without norms and skips. */
function effect(lane: Lane, nVar: number, biasVariance: number): string {
  if (lane.scheme === "constant" || lane.scheme === "zeros") return "equal weights: no theory of random ones";
  const f = activation(lane.activation);
  const q = qStar(f, nVar, biasVariance);
  const settles = q > 0 && q < Infinity;
  const at = moments(f, settles ? q : 1);
  const signal = settles ? `signal settles at ${told(q)}` : `signal ×${(nVar * at.second).toPrecision(3)} a layer`;
  const plain = lane.norm === "none" && !lane.residual ? "" : "without norm and skips: ";
  return `${plain}${signal}, gradient² ×${(nVar * at.slope).toPrecision(3)} a layer`;
}

// Wiring

function wirePhase(): void {
  const plane = canvas("phase");
  let dragged: LaneName | null = null;
  const spot = (event: PointerEvent): Point => pointAt(plane, event.offsetX, event.offsetY);
  const distance = (lane: LaneName, to: Point): number => {
    const { sigmaW, sigmaB } = pointOf(state[lane]);
    return Math.hypot((sigmaW - to.sigmaW) / MOST_SIGMA_W, (sigmaB - to.sigmaB) / MOST_SIGMA_B);
  };
  plane.addEventListener("pointerdown", (event) => {
    const to = spot(event);
    dragged = distance("B", to) < distance("A", to) ? "B" : "A";
    planeLane = dragged;
    plane.setPointerCapture(event.pointerId);
    move(dragged, to);
  });
  plane.addEventListener("pointermove", (event) => {
    if (dragged !== null) move(dragged, spot(event));
  });
  for (const name of ["pointerup", "pointercancel"]) plane.addEventListener(name, () => (dragged = null));
  const WAYS: Readonly<Record<string, readonly [number, number]>> = {
    ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1],
  };
  plane.addEventListener("keydown", (event) => {
    const key = event.key.toUpperCase();
    if (key === "A" || key === "B") {
      planeLane = key;
      drawPlane();
      return;
    }
    const way = WAYS[event.key];
    if (way === undefined) return;
    event.preventDefault();
    const step = event.shiftKey ? 0.1 : 0.02;
    const { sigmaW, sigmaB } = pointOf(state[planeLane]);
    move(planeLane, { sigmaW: sigmaW + 2 * step * way[0], sigmaB: sigmaB + step * way[1] });
  });
}

function wireTheme(): void {
  const button = at("theme", HTMLButtonElement);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const set = (isDark: boolean): void => {
    document.documentElement.dataset["theme"] = isDark ? "dark" : "light";
    button.setAttribute("aria-pressed", String(isDark));
    drawAll();
  };
  button.addEventListener("click", () => set(document.documentElement.dataset["theme"] !== "dark"));
  dark.addEventListener("change", (event) => set(event.matches));
  // Printed on white, whatever the screen.
  let screen = false;
  window.addEventListener("beforeprint", () => {
    screen = document.documentElement.dataset["theme"] === "dark";
    set(false);
  });
  window.addEventListener("afterprint", () => set(screen));
  document.documentElement.dataset["theme"] = dark.matches ? "dark" : "light";
  button.setAttribute("aria-pressed", String(dark.matches));
}

function wire(): void {
  const presets = at("presets", HTMLElement);
  for (const { name, title, state: start } of PRESETS) {
    const button = element("button", { type: "button", "data-preset": name }, title);
    button.addEventListener("click", () => {
      play(false);
      at("ask", HTMLDetailsElement).open = false;
      take({ ...start, speed: state.speed });
    });
    presets.append(button);
  }
  updateControls = buildControls(at("controls", HTMLTableElement), (lane, field, value) => {
    planeLane = lane;
    let next = withField(state[lane], field, value);
    // "My sigma" begins where the lane's start was.
    if (field === "scheme" && value === "sigma") next = { ...next, ...kept(pointOf(state[lane])) };
    change(lane, next);
  });
  at("data", HTMLSelectElement).replaceWith(
    select("data", DATA_NAMES, (data) => take({ ...state, data })),
  );
  at("speed", HTMLSelectElement).replaceWith(
    select("speed", SPEEDS.map((speed) => [speed, speed]), (speed) => take({ ...state, speed }, { restart: false })),
  );
  at("seed", HTMLInputElement).addEventListener("change", (event) => {
    const seed = Number((event.target as HTMLInputElement).value);
    take(Number.isInteger(seed) && seed >= 0 && seed <= 999999999 ? { ...state, seed } : state);
  });
  at("play", HTMLButtonElement).addEventListener("click", () => play(!playing));
  at("one", HTMLButtonElement).addEventListener("click", () => {
    play(false);
    race.advance(1);
  });
  at("again", HTMLButtonElement).addEventListener("click", () => {
    play(false);
    void begin();
  });
  for (const lane of LANES) {
    at(`${lane}-nvar`, HTMLInputElement).addEventListener("input", (event) => {
      setNVar(lane, Number((event.target as HTMLInputElement).value));
    });
    at(`${lane}-sigmab`, HTMLInputElement).addEventListener("input", (event) => {
      move(lane, { ...pointOf(state[lane]), sigmaB: Number((event.target as HTMLInputElement).value) });
    });
  }
  wirePhase();
  at("profile-file", HTMLInputElement).addEventListener("change", (event) => {
    const file = (event.target as HTMLInputElement).files?.[0];
    if (file !== undefined) void file.text().then(openProfile);
  });
  at("numbers", HTMLDetailsElement).addEventListener("toggle", () => lanes !== null && fillTable(lanes));
  window.addEventListener("hashchange", () => open(window.location.hash));
  new ResizeObserver(drawAll).observe(document.body);
}

function openProfile(text: string): void {
  try {
    drawProfile = showProfile(at("profile", HTMLElement), readProfile(text));
    drawProfile(colours);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  }
}

/** Show what an address says. */
function open(hash: string): void {
  const { state: next, ignored } = readState(hash, (name) => presetOf(name)?.state, USUAL);
  play(false);
  take(next, { keep: ignored.length === 0 && hash !== "" });
  say(ignored.length > 0 ? `Not understood, and left out: ${ignored.join(", ")}` : "");
  if (new URLSearchParams(hash.replace(/^#/, "")).has("profile")) {
    void fetch("profile.json")
      .then((answer) => (answer.ok ? answer.text() : Promise.reject(new Error("no profile is served: initlab web --profile FILE"))))
      .then(openProfile, (error: unknown) => say(error instanceof Error ? error.message : String(error)));
  }
}

wireTheme();
wire();
open(window.location.hash);
buildTour(at("tour-button", HTMLButtonElement), at("tour", HTMLElement), window.location.hash === "");
