/** Six steps for the first visit: a card at the page's edge, and a frame around what it speaks of. */

import { element } from "./controls";

const STEPS: readonly { readonly at: string; readonly title: string; readonly text: string }[] = [
  {
    at: "lesson",
    title: "A lesson sets up a race",
    text: "Each button puts two networks, A and B, at two starts. The text says what to look at, what to try, and asks a question.",
  },
  {
    at: "race",
    title: "They train here, now",
    text: "Both see the same data and are drawn from the same noise: only what differs in the settings differs. Shaded is what is answered where.",
  },
  {
    at: "signal-view",
    title: "Dots are measured, lines are theory",
    text: "E[z²] by layer: level is healthy. The line is what theory says of the weights before the first step; training then moves the dots away.",
  },
  {
    at: "gradient-view",
    title: "The way back",
    text: "The squared gradient by layer, from the output at the right to the first layer at the left. If it falls to the left it vanishes, if it rises it explodes.",
  },
  {
    at: "phase-view",
    title: "Drag a point",
    text: "Every start is a point: σw is the scale of the weights, σb that of the biases. Drag A or B with a pointer, or focus the picture and press the arrow keys.",
  },
  {
    at: "settings",
    title: "Change anything, share it",
    text: "Every choice is in the address: copy it, and whoever opens it sees this very race.",
  },
];

const SEEN = "initlab-tour-seen";

function remembered(): boolean {
  try {
    return localStorage.getItem(SEEN) !== null;
  } catch {
    return true; // a browser that keeps nothing would tell the tour on every visit
  }
}

function remember(): void {
  try {
    localStorage.setItem(SEEN, "yes");
  } catch {
    return;
  }
}

/** Wire the tour's button, and begin it on a first visit. */
export function buildTour(button: HTMLButtonElement, card: HTMLElement, wanted: boolean): void {
  const title = element("h2", { tabindex: "-1" });
  const text = element("p");
  const place = element("span", { class: "place" });
  const back = element("button", { type: "button" }, "Back");
  const next = element("button", { type: "button", class: "main" }, "Next");
  const close = element("button", { type: "button" }, "End the tour");
  card.append(title, text, element("div", { class: "row" }, place, back, next, close));
  let at = -1;

  function show(step: number): void {
    document.querySelector(".toured")?.classList.remove("toured");
    at = step;
    card.hidden = step < 0;
    if (step < 0) {
      remember();
      button.focus();
      return;
    }
    const told = STEPS[step];
    const target = document.getElementById(told.at);
    target?.classList.add("toured");
    target?.scrollIntoView({ block: "center", behavior: "auto" });
    title.textContent = told.title;
    text.textContent = told.text;
    place.textContent = `${step + 1} of ${STEPS.length}`;
    back.disabled = step === 0;
    next.textContent = step === STEPS.length - 1 ? "Done" : "Next";
    title.focus({ preventScroll: true });
  }

  back.addEventListener("click", () => show(at - 1));
  next.addEventListener("click", () => show(at + 1 < STEPS.length ? at + 1 : -1));
  close.addEventListener("click", () => show(-1));
  card.addEventListener("keydown", (event) => {
    if (event.key === "Escape") show(-1);
  });
  button.addEventListener("click", () => show(0));
  if (wanted && !remembered()) show(0);
}
