// Stills of the page for the documentation, and a strip of frames of a race: node web/stills.mjs, after ./dev web; needs
// Chromium. node web/stills.mjs NAME ... makes some.
import { fileURLToPath, pathToFileURL } from "node:url";
import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const ADDRESS = pathToFileURL(`${ROOT}/src/initlab/web/page/index.html`).href;
const OUT = `${ROOT}/docs/images/page`;

/** File, address, steps, and the elements whose common box is shown. */
const STILLS = [
  ["zeros", "#preset=zeros&speed=full", 100, ["#race"]],
  ["tanh-50", "#preset=tanh-50", 0, ["#signal-view", "#phase-view"]],
  ["sigmoid", "#preset=sigmoid", 0, ["#signal-view", "#phase-view"]],
  ["he", "#preset=he", 0, ["#signal-view", "#phase-view"]],
  ["residual", "#preset=residual", 0, ["#signal-view", "#phase-view"]],
];

/** File, address, and the steps at which both maps are taken. */
const STRIPS = [["strip-he", "#preset=he&A.depth=20&B.depth=20", [0, 5, 10, 20, 40, 60]]];

const WANTED = process.argv.slice(2);
const wanted = ([name]) => WANTED.length === 0 || WANTED.includes(name);

/** Train until so many steps are done, no further. */
async function stepped(page, step) {
  for (let at = Number((await page.textContent("#step")).slice(5)) + 1; at <= step; at++) {
    await page.click("#one");
    await page.waitForFunction((n) => document.getElementById("step").textContent === `step ${n}`, at);
  }
}

/** Frames as one picture: a column a step, a row a network. */
async function strip(name, hash, steps) {
  const page = await browser.newPage({ viewport: { width: 760, height: 1400 } });
  await page.goto(ADDRESS + hash);
  await page.waitForFunction(() => /loss/.test(document.getElementById("A-score").textContent));
  const columns = [];
  for (const step of steps) {
    await stepped(page, step);
    // The map is drawn at most a fifth of the time; a pause lets it follow.
    await page.waitForTimeout(400);
    const cells = [];
    for (const lane of ["A", "B"]) {
      const picture = (await page.locator(`#${lane}-map`).screenshot()).toString("base64");
      cells.push(`<img src="data:image/png;base64,${picture}"><small>${await page.textContent(`#${lane}-score`)}</small>`);
    }
    columns.push(`<div><b>step ${step}</b>${cells.join("")}</div>`);
  }
  const names = await Promise.all(["A", "B"].map((lane) => page.textContent(`#${lane}-name`)));
  await page.setViewportSize({ width: 1240, height: 700 });
  await page.setContent(`<style>body { margin: 0; font: 15px system-ui, sans-serif; color: #1d2433; background: white }
    main { display: inline-block; padding: 10px } section { display: flex; gap: 10px } div { width: 190px } b, small { display: block }
    img { width: 100%; margin-top: 8px } small { color: #5a6272; font-size: 11.5px; white-space: nowrap }</style>
    <main><section>${columns.join("")}</section><p>Above A: ${names[0]}. Below B: ${names[1]}.</p></main>`);
  await page.locator("main").screenshot({ path: `${OUT}/${name}.png` });
  await page.close();
}

mkdirSync(OUT, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
for (const [name, hash, steps, parts] of STILLS.filter(wanted)) {
  const page = await browser.newPage({ viewport: { width: 1240, height: 2200 } });
  await page.goto(ADDRESS + hash);
  await page.waitForFunction(() => /loss/.test(document.getElementById("A-score").textContent));
  if (steps > 0) {
    await page.click("#play");
    await page.waitForFunction((n) => Number(document.getElementById("step").textContent.slice(5)) >= n, steps);
    await page.click("#play");
  }
  await page.waitForTimeout(500);
  const boxes = await Promise.all(parts.map((part) => page.locator(part).boundingBox()));
  const [left, top] = [Math.min(...boxes.map((b) => b.x)), Math.min(...boxes.map((b) => b.y))];
  const right = Math.max(...boxes.map((b) => b.x + b.width));
  const bottom = Math.max(...boxes.map((b) => b.y + b.height));
  await page.screenshot({ path: `${OUT}/${name}.png`, clip: { x: left - 6, y: top - 6, width: right - left + 12, height: bottom - top + 12 } });
  await page.close();
}
for (const one of STRIPS.filter(wanted)) await strip(...one);
await browser.close();
