// Stills of the page for the documentation: node web/stills.mjs, after ./dev web; needs Chromium.
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

mkdirSync(OUT, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
for (const [name, hash, steps, parts] of STILLS) {
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
await browser.close();
