/** SGD, momentum and Adam in Keras' algebra, over the flat array of all numbers. */

export type OptimizerName = "sgd" | "momentum" | "adam";

const MOMENTUM = 0.9;
const BETA_1 = 0.9;
const BETA_2 = 0.999;
/** Added to sqrt(v), not to the bias-corrected one (Kingma and Ba, arXiv 1412.6980, end of section 2). */
const EPSILON = 1e-7;

export class Optimizer {
  private readonly first: Float64Array;
  private readonly second: Float64Array;
  private steps = 0;

  constructor(
    readonly name: OptimizerName,
    readonly rate: number,
    size: number,
  ) {
    this.first = new Float64Array(name === "sgd" ? 0 : size);
    this.second = new Float64Array(name === "adam" ? size : 0);
  }

  /** Move the numbers by one step. */
  step(theta: Float64Array, grad: Float64Array): void {
    const { first, second, rate } = this;
    this.steps++;
    if (this.name === "sgd") {
      for (let i = 0; i < theta.length; i++) theta[i] -= rate * grad[i];
    } else if (this.name === "momentum") {
      for (let i = 0; i < theta.length; i++) {
        first[i] = MOMENTUM * first[i] + grad[i];
        theta[i] -= rate * first[i];
      }
    } else {
      const left = 1 - BETA_2 ** this.steps;
      const scale = (rate * Math.sqrt(left)) / (1 - BETA_1 ** this.steps);
      for (let i = 0; i < theta.length; i++) {
        const g = grad[i];
        first[i] = BETA_1 * first[i] + (1 - BETA_1) * g;
        second[i] = BETA_2 * second[i] + (1 - BETA_2) * g * g;
        theta[i] -= (scale * first[i]) / (Math.sqrt(second[i]) + EPSILON);
      }
    }
  }
}
