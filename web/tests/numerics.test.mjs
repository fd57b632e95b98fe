// The numerics of the page against vectors that initlab wrote: node --test web/tests
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const VECTORS = JSON.parse(readFileSync(join(HERE, "vectors.json"), "utf8"));
const { outputFiles } = await build({
  stdin: {
    contents: ["activations", "draws", "net", "optimizers", "schemes", "theory", "course"]
      .map((name) => `export * from "./numerics/${name}";`).join("\n"),
    resolveDir: join(HERE, "..", "src"),
  },
  bundle: true, format: "esm", write: false, target: "es2020",
});
const page = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].text).toString("base64")}`);

/** Whether two numbers agree to a share of the larger of the two, or of a floor. */
function close(found, wanted, share, floor = 0, what = "") {
  const room = share * Math.max(Math.abs(wanted), floor);
  assert.ok(Math.abs(found - wanted) <= room, `${what}: ${found} is not ${wanted}`);
}

test("draws have the bits of initlab.draw", () => {
  for (const row of VECTORS.draws) {
    const size = row.size ?? row.bits.length / 16;
    const drawn = page.draw(row.law, size, BigInt(row.seed), row.path);
    const bytes = Buffer.from(drawn.buffer);
    if (row.bits) assert.equal(bytes.toString("hex"), row.bits, `${row.law.family} ${row.path}`);
    else assert.equal(createHash("sha256").update(bytes).digest("hex"), row.sha256, row.law.family);
  }
});

test("a part of a stream is drawn alone", () => {
  const source = page.stream(9, "2/weight");
  const whole = new Float64Array(11);
  const part = new Float64Array(6);
  page.fill({ family: "normal", sigma: 2 }, source, whole);
  page.fill({ family: "normal", sigma: 2 }, source, part, 5);
  assert.deepEqual(part, whole.slice(5));
});

test("moments, pair moments, q* and chi_1 are those of initlab.theory", () => {
  for (const row of VECTORS.theory) {
    const f = page.activation(row.activation);
    for (const [q, mean, second, slope] of row.moments) {
      const found = page.moments(f, q);
      close(found.mean, mean, 1e-8, 1e-3, `${f.name} mean at ${q}`);
      close(found.second, second, 1e-8, 0, `${f.name} second at ${q}`);
      close(found.slope, slope, 1e-8, 0, `${f.name} slope at ${q}`);
    }
    for (const [c, q, moment] of row.pairs) close(page.pairMoment(f, c, q), moment, 1e-6, 1e-2, `${f.name} c=${c}`);
    for (const [weight, bias, q, chi] of row.points) {
      close(page.qStar(f, weight, bias), q, 1e-6, 0, `${f.name} q* at ${weight}, ${bias}`);
      close(page.chi1(f, weight, q), chi, 1e-6, 0, `${f.name} chi_1 at ${weight}, ${bias}`);
    }
  }
});

test("a scheme's laws have initlab's means and deviations", () => {
  const arch = { widths: [3, 7, 5, 2], activation: "gelu", norm: "none", residual: false };
  for (const row of VECTORS.laws) {
    const laws = page.lawsOf(arch, { scheme: row.scheme, sigmaW: 0, sigmaB: 0 });
    laws.forEach(({ weight, bias }, i) => {
      for (const [law, [mean, std]] of [[weight, row.weights[i]], [bias, row.biases[i]]]) {
        close(page.stdOf(law), std, 1e-9, 1e-9, `${row.scheme} layer ${i}`);
        close(law.family === "constant" ? law.value : 0, mean, 1e-12, 1e-6, `${row.scheme} layer ${i}`);
      }
    });
  }
});

test("loss, gradient and 20 steps are those of initlab's forward pass", () => {
  for (const row of VECTORS.training) {
    const arch = { widths: row.widths, activation: row.activation, norm: row.norm, residual: row.residual };
    const net = new page.Net(arch, row.y.length);
    assert.equal(net.theta.length, row.theta.length);
    net.theta.set(row.theta);
    const x = Float64Array.from(row.x);
    const y = Int32Array.from(row.y);
    const optimizer = new page.Optimizer(row.optimizer, row.rate, net.theta.length);
    const what = `${row.activation}, ${row.norm}, ${row.optimizer}`;
    const largest = Math.max(...row.gradient.map(Math.abs));
    for (let step = 0; step < 20; step++) {
      net.forward(x);
      const { loss } = net.loss(y);
      net.backward();
      if (step === 0) {
        close(loss, row.loss, 1e-12, 1, what);
        row.gradient.forEach((g, i) => close(net.grad[i], g, 1e-5, 1e-3 * largest, `${what}, gradient ${i}`));
      }
      close(loss, row.losses[step], 1e-4, 1e-2, `${what}, step ${step}`);
      optimizer.step(net.theta, net.grad);
    }
    row.trained.forEach((value, i) => close(net.theta[i], value, 1e-4, 1e-1, `${what}, number ${i}`));
  }
});

const mean = (rows) => rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);
const squares = (values) => values.reduce((sum, v) => sum + v * v, 0);

for (const [activation, norm, residual, room] of [
  ["relu", "none", false, 0.12], ["tanh", "none", false, 0.12], ["relu", "none", true, 0.15], ["gelu", "layer", false, 0.12],
  ["tanh", "layer", true, 0.15], ["silu", "none", true, 0.15],
]) {
  test(`theory's course is the mean of wide networks: ${activation}, ${norm} norm, skips ${residual}`, () => {
    const [rows, features, width] = [40, 9, 160];
    const x = page.draw({ family: "normal", sigma: 1 }, rows * features, 3, "x");
    const y = Int32Array.from({ length: rows }, (_, r) => r % 3);
    const arch = { widths: [features, width, width, width, width, width, 3], activation, norm, residual };
    const start = { scheme: "sigma", sigmaW: 1.5, sigmaB: 0.3 };
    const signals = [];
    const gradients = [];
    for (let seed = 0; seed < 12; seed++) {
      const net = new page.Net(arch, rows);
      page.initialize(net, start, seed);
      net.forward(x);
      net.loss(y);
      net.backward();
      signals.push(net.buffers.map(({ z }) => squares(z) / z.length));
      const last = squares(net.buffers[net.depth - 1].dz);
      gradients.push(net.buffers.map(({ dz }) => squares(dz) / last));
    }
    const course = page.courseOf(arch, start, page.squaresOf(x, features, 10));
    mean(signals).forEach((found, i) => close(found, course.signal[i], i < 5 ? room : 0.75, 0, `signal ${i + 1}`));
    mean(gradients).forEach((found, i) => close(found, course.gradient[i], i < 5 ? 2 * room : 1e-9, 0, `gradient ${i + 1}`));
  });
}

test("50 layers of tanh at a gain of 5/3 have chi_1 1.210 and a squared gradient grown by about 1.4e4", () => {
  const f = page.activation("tanh");
  const q = page.qStar(f, 25 / 9, 0);
  const chi = page.chi1(f, 25 / 9, q);
  close(chi, 1.21, 1e-3, 0, "chi_1");
  close(chi ** 50, 1.4e4, 0.03, 0, "growth");
});
