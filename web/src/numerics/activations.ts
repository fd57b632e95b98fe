/** Activations and their slopes, as `initlab list activations` defines them; every kink lies at zero. */

export interface Activation {
  readonly name: string;
  readonly title: string;
  /** f(x). */
  readonly value: (x: number) => number;
  /** f'(x), given x and f(x). */
  readonly slope: (x: number, y: number) => number;
  /** The slope below zero where f is two straight lines through the origin, 1 above; else undefined. */
  readonly below?: number;
}

const SELU_ALPHA = 1.6732632423543772;
const SELU_SCALE = 1.0507009873554805;

function logistic(x: number): number {
  const small = Math.exp(-Math.abs(x));
  return (x >= 0 ? 1 : small) / (1 + small);
}

/** The normal distribution function, to about 1e-15 (Hart, Computer approximations, 1968, algorithm 5666). */
export function normalCdf(x: number): number {
  const s = Math.abs(x);
  let tail = 0;
  if (s < 37) {
    const bell = Math.exp(-0.5 * s * s);
    if (s < 7.07106781186547) {
      let above = 3.52624965998911e-2 * s + 0.700383064443688;
      above = above * s + 6.37396220353165;
      above = above * s + 33.912866078383;
      above = above * s + 112.079291497871;
      above = above * s + 221.213596169931;
      above = above * s + 220.206867912376;
      let below = 8.83883476483184e-2 * s + 1.75566716318264;
      below = below * s + 16.064177579207;
      below = below * s + 86.7807322029461;
      below = below * s + 296.564248779674;
      below = below * s + 637.333633378831;
      below = below * s + 793.826512519948;
      below = below * s + 440.413735824752;
      tail = (bell * above) / below;
    } else {
      tail = bell / ((s + 1 / (s + 2 / (s + 3 / (s + 4 / (s + 0.65))))) * 2.506628274631);
    }
  }
  return x > 0 ? 1 - tail : tail;
}

const normalPdf = (x: number): number => Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);

export const ACTIVATIONS: readonly Activation[] = [
  { name: "relu", title: "ReLU", value: (x) => (x > 0 ? x : 0), slope: (x) => (x > 0 ? 1 : 0), below: 0 },
  { name: "tanh", title: "tanh", value: (x) => Math.tanh(x), slope: (_x, y) => 1 - y * y },
  { name: "sigmoid", title: "sigmoid", value: logistic, slope: (_x, y) => y * (1 - y) },
  {
    name: "leaky_relu",
    title: "leaky ReLU",
    value: (x) => (x > 0 ? x : 0.01 * x),
    slope: (x) => (x > 0 ? 1 : 0.01),
    below: 0.01,
  },
  {
    name: "elu",
    title: "ELU",
    value: (x) => (x > 0 ? x : Math.expm1(x)),
    slope: (x, y) => (x > 0 ? 1 : y + 1),
  },
  {
    name: "selu",
    title: "SELU",
    value: (x) => SELU_SCALE * (x > 0 ? x : SELU_ALPHA * Math.expm1(x)),
    slope: (x, y) => (x > 0 ? SELU_SCALE : y + SELU_SCALE * SELU_ALPHA),
  },
  {
    name: "gelu",
    title: "GELU",
    value: (x) => x * normalCdf(x),
    slope: (x) => normalCdf(x) + x * normalPdf(x),
  },
  {
    name: "silu",
    title: "SiLU (swish)",
    value: (x) => x * logistic(x),
    slope: (x, y) => logistic(x) + y * logistic(-x),
  },
  {
    name: "softplus",
    title: "softplus",
    value: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    slope: logistic,
  },
  { name: "identity", title: "none (linear)", value: (x) => x, slope: () => 1, below: 1 },
];

/** The activation of a name. */
export function activation(name: string): Activation {
  const found = ACTIVATIONS.find((one) => one.name === name);
  if (found === undefined) throw new Error(`unknown activation '${name}'`);
  return found;
}
