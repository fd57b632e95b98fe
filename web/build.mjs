// Builds the page into src/initlab/web/page: one classic script with the worker's text inside, for file:// refuses both
// worker files and module scripts. It begins with the digest of all that it was made from.
// node build.mjs [folder]
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const OUT = process.argv[2] ?? join(HERE, "..", "src", "initlab", "web", "page");
const COPIED = ["index.html", "page.css", "digits.js"];

/** Every source, by its path below web/, sorted. */
function sources() {
  const found = readdirSync(join(HERE, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(HERE, join(entry.parentPath ?? entry.path, entry.name)).replaceAll("\\", "/"));
  return [...found, "build.mjs", "package-lock.json", "tsconfig.json"].sort();
}

/** SHA-256 over each source's path, a line end, its digest and a line end. */
export function digest() {
  const all = createHash("sha256");
  for (const path of sources()) {
    const one = createHash("sha256").update(readFileSync(join(HERE, path))).digest("hex");
    all.update(`${path}\n${one}\n`);
  }
  return all.digest("hex");
}

const SHARED = { bundle: true, minify: true, target: "es2020", charset: "utf8", write: false, legalComments: "none" };

/** The text of a script and all that it imports. */
async function bundled(entry, options = {}) {
  const { outputFiles } = await build({ ...SHARED, format: "iife", entryPoints: [join(HERE, entry)], ...options });
  return outputFiles[0].text;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const worker = await bundled("src/worker.ts");
  const page = await bundled("src/page/main.ts", { define: { WORKER_SOURCE: JSON.stringify(worker) } });
  mkdirSync(OUT, { recursive: true });
  const head = `/* initlab's page, built by ./dev web from web/src. Apache-2.0. sources: ${digest()} */\n`;
  writeFileSync(join(OUT, "page.js"), head + page);
  for (const name of COPIED) writeFileSync(join(OUT, name), readFileSync(join(HERE, "src", name)));
}
