/** The lessons: two networks each, two sentences, a question and its answer. */

import type { Lane, State } from "./state";

export interface Preset {
  readonly name: string;
  readonly title: string;
  /** What to look at, and what to try: two sentences. */
  readonly look: string;
  readonly question: string;
  readonly answer: string;
  readonly state: State;
}

const PLAIN: Lane = {
  depth: 6,
  width: 16,
  activation: "relu",
  scheme: "he_normal",
  sigmaW: 1.41,
  sigmaB: 0,
  norm: "none",
  residual: false,
  optimizer: "adam",
  rate: 0.01,
};

interface Described {
  readonly look: string;
  readonly question: string;
  readonly answer: string;
  readonly data?: string;
  /** What both lanes share. */
  readonly both?: Partial<Lane>;
  readonly A?: Partial<Lane>;
  readonly B?: Partial<Lane>;
}

function preset(name: string, title: string, told: Described): Preset {
  const { look, question, answer, data = "circles", both = {}, A = {}, B = {} } = told;
  const lanes = { A: { ...PLAIN, ...both, ...A }, B: { ...PLAIN, ...both, ...B } };
  return { name, title, look, question, answer, state: { preset: name, data, seed: 1, speed: "60", ...lanes } };
}

const EDGE = { scheme: "sigma", sigmaW: 1.327, sigmaB: 0.224 } as const;

export const PRESETS: readonly Preset[] = [
  preset("he", "He", {
    look:
      "Watch “signal by layer”: He's weights (A) keep the dots level on theory's line, Xavier's (B) halve them in " +
      "every ReLU layer. Make both networks 20 layers deep and race again.",
    question: "Why does ReLU need twice the variance?",
    answer:
      "ReLU sets half of a symmetric signal to zero, so E[a²] is half of E[z²]. Weights of variance 2/n make up for " +
      "that factor of 2; with 1/n the signal after L layers is 2^−L of what it was.",
    both: { depth: 10 },
    B: { scheme: "glorot_normal" },
  }),
  preset("xavier", "Xavier", {
    look:
      "Both networks have tanh units: with Xavier's weights (A) the signal falls slowly and the gradient stays " +
      "level, with std 1 (B) every unit stands at its ends, as the histograms show. Try sigmoid in A.",
    question: "Xavier's rule is made for linear units. Why does it work for tanh?",
    answer:
      "Near zero tanh is a straight line of slope 1. Signals shrink a little in every layer, which keeps them near " +
      "zero, where the rule is right.",
    both: { activation: "tanh", scheme: "glorot_normal", depth: 6 },
    B: { scheme: "standard" },
  }),
  preset("too-small", "too small", {
    look:
      "A's weights have std 0.05: each of its dots lies far below the one before, in the signal from left to right " +
      "and in the gradient from right to left. Try SGD in both: Adam hides for a while how small the gradients are.",
    question: "The gradient of A is tiny, yet with Adam it starts to learn in the end. How?",
    answer:
      "Adam divides each gradient by its own size, so every weight moves by about the learning rate a step, however " +
      "small the gradient. With SGD the step is proportional to the gradient, and nothing moves.",
    both: { activation: "tanh" },
    A: { scheme: "normal" },
    B: { scheme: "exact_gain_normal" },
  }),
  preset("too-large", "too large", {
    look:
      "A's weights have std 1: its signal is multiplied by n/2 = 8 in each ReLU layer, and its first loss has many " +
      "digits. Try tanh in A: the signal can no longer grow, but the gradient does.",
    question: "What does a first loss far above ln 2 = 0.69 tell you?",
    answer:
      "That the outputs are large and sure of themselves before anything was learnt. The first steps of training are " +
      "then spent on making them smaller.",
    A: { scheme: "standard" },
  }),
  preset("zeros", "zeros", {
    look:
      "A starts at zero: its loss stays at ln 2 = 0.6931 and its map at one colour for ever, for there is no signal " +
      "and no gradient in any hidden layer. Choose “constant 0.05” in A: now it moves, but as if it had one unit.",
    question: "Biases start at zero in B too. Why is that no fault?",
    answer:
      "A bias gets the gradient of its unit's sum, which does not pass through the bias. The units differ by their " +
      "weights, so their biases come apart by themselves.",
    A: { scheme: "zeros" },
  }),
  preset("constant", "constant", {
    look:
      "All of A's weights are 0.05: the units of a layer are one unit, many times, and each histogram has as many " +
      "different values as one unit gives. Change the seed and run again: the points move a little, and A draws one straight " +
      "edge again, for its weights have no noise.",
    question: "Can a learning rate or a better optimizer repair A?",
    answer:
      "No. Equal units get equal gradients, and any rule that treats numbers alike moves them alike. Only a random " +
      "start (or dropout) tells them apart.",
    both: { activation: "tanh", depth: 2 },
    A: { scheme: "constant" },
    B: { scheme: "glorot_normal" },
  }),
  preset("tanh-50", "50 layers of tanh", {
    look:
      "A has the gain 5/3 of torch's table: its signal is level, but its squared gradient grows by χ₁ = 1.21 a layer " +
      "on its way back, 1.4·10⁴ times in all. B stands on the edge of chaos; drag A's point onto the edge, too.",
    question: "The signal looks healthy in both. Which one would you train?",
    answer:
      "B. A's first layers get gradients a hundred times as large (in root mean square) as its last ones, so no one " +
      "learning rate fits all layers.",
    both: { activation: "tanh", depth: 50, width: 64, optimizer: "sgd", rate: 0.003 },
    A: { scheme: "sigma", sigmaW: 5 / 3, sigmaB: 0 },
    B: EDGE,
  }),
  preset("sigmoid", "sigmoid", {
    look:
      "A stacks eight sigmoids: the gradient loses more than a factor of 16 in each layer, and two inputs become one. " +
      "B is the same with tanh; put layer norm into A and race again.",
    question: "Is the vanishing gradient of sigmoids cured by larger weights?",
    answer:
      "Only in part. The slope of a sigmoid is at most 1/4, so weights of variance 16/n keep the gradient near zero " +
      "input; but then the signal is large, and large inputs have hardly any slope.",
    both: { depth: 8, scheme: "glorot_normal" },
    A: { activation: "sigmoid" },
    B: { activation: "tanh" },
  }),
  preset("edge", "edge of chaos", {
    look:
      "Below the edge (A) two inputs become one within a few layers; above it (B) they stay apart, but the gradient explodes. Drag " +
      "the points in the phase diagram and see how theory's lines bend at once.",
    question: "Why do deep networks train best on the edge?",
    answer:
      "Only there the depth over which inputs stay distinguishable, and over which a gradient keeps its size, is " +
      "infinite. Elsewhere both die out over ξ layers, and a net much deeper than that cannot be trained.",
    both: { activation: "tanh", depth: 30, width: 32, scheme: "sigma", rate: 0.001 },
    A: { sigmaW: 0.9, sigmaB: 0.2 },
    B: { sigmaW: 2.5, sigmaB: 0.2 },
  }),
  preset("residual", "residual", {
    look:
      "Both have 30 layers of tanh with weights that are too small: A's gradient is gone after a few layers, B's " +
      "skips carry it to the first. Try the same without skips and larger weights in A: which σw does as well?",
    question: "If skips let gradients pass, why care for the start at all?",
    answer:
      "Each branch adds its variance to the stream. With branches of full size the stream grows exponentially in " +
      "ReLU nets; scaling branches by 1/√L, or starting them at zero, keeps it level.",
    both: { activation: "tanh", depth: 30, width: 16, scheme: "sigma", sigmaW: 0.5, sigmaB: 0, rate: 0.003 },
    B: { residual: true },
  }),
  preset("growing-stream", "growing stream", {
    look:
      "A's skips add branches of the stream's own size: E[z²] grows nearly threefold in every layer, ten million times " +
      "in all; B's branches are divided by √16, the root of the depth. Put layer norm into A and look again.",
    question: "Branches of equal size should double the stream. Why is it nearly three times?",
    answer:
      "ReLU's outputs have a mean above zero, and so has the stream: the means of stream and branch add up before they " +
      "are squared, so beside the two variances there is a product of the means.",
    both: { depth: 16, residual: true, rate: 0.003 },
    B: { scheme: "sigma", sigmaW: 0.354, sigmaB: 0 },
  }),
  preset("batch-norm", "batch norm", {
    look:
      "Both have weights of std 1, far too large: batch norm (A) brings every layer's signal to the same size, and it " +
      "trains. Then make both 30 layers deep: A's gradient explodes, by π/(π−1) = 1.47 a layer in theory.",
    question: "Batch norm makes the signal independent of the weights' scale. What is left to choose?",
    answer:
      "The depth: through batch norm the gradient grows at every layer for all but linear activations, whatever the " +
      "weights. Skips around the norm, as in ResNets, cure that.",
    both: { scheme: "standard", depth: 8 },
    A: { norm: "batch" },
  }),
  preset("default-linear", "PyTorch's default", {
    look:
      "A has what torch's Linear draws, uniform within 1/√n: its signal falls to a sixth in every ReLU layer, until " +
      "biases are all that is left and two inputs become one. B is He with zero biases.",
    question: "Two layers of it start learning at once. Why do ten stay at ln 2 for so long?",
    answer:
      "What tells inputs apart shrinks by 6 a layer: 36 for two, sixty million for ten. Adam divides a gradient by its " +
      "size, so it gets away in the end; with SGD nothing moves.",
    both: { depth: 10 },
    A: { scheme: "torch_default" },
  }),
  preset("dead-relu", "learning rate kills", {
    look:
      "Same start, same data: A's learning rate is a hundred times B's, and its first steps push whole layers below zero " +
      "for good: its loss stays at ln 2. Try leaky ReLU in A.",
    question: "Can a ReLU that is zero on all data come back?",
    answer:
      "Not by its own gradient, which is zero. It comes back only if the layers before it move, and those often get " +
      "no gradient either.",
    both: { depth: 4 },
    A: { rate: 1 },
  }),
  preset("digits", "digits", {
    look:
      "Ten classes of 8×8 pixels: He (A) and weights of std 0.05 (B) race to tell them, and what is wrong is framed. " +
      "The start's loss should be ln 10 = 2.30.",
    question: "Weights of std 0.05 are the right size in a layer of how many inputs?",
    answer: "He asks for variance 2/n, so n = 2 / 0.05² = 800. With 32 inputs they are five times too small.",
    data: "digits",
    both: { width: 32, depth: 8, rate: 0.003 },
    B: { scheme: "normal" },
  }),
];

/** The lesson of a name. */
export function presetOf(name: string): Preset | undefined {
  return PRESETS.find((one) => one.name === name);
}
