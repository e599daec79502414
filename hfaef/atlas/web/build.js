// Builds the page: ../page from src, index.html and atlas.css. Two builds give the same bytes.

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { coarseLand, fineLand } from "./bundling/land.js";
import { licences } from "./bundling/licences.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const page = process.argv[2] ?? here("../page");

await rm(page, { recursive: true, force: true });
await mkdir(page, { recursive: true });

const options = { bundle: true, minify: true, format: "iife", target: "es2022", legalComments: "none" };

/** The script of a worker, as text. */
async function workerScript() {
  const { outputFiles } = await build({ ...options, entryPoints: [here("src/vectors/worker.js")], write: false });
  return outputFiles[0].text;
}

/** Modules that the build makes. */
const made = {
  name: "made",
  setup(context) {
    context.onResolve({ filter: /^(coarse-land|worker-script)$/ }, ({ path }) => ({ path, namespace: "made" }));
    context.onLoad({ filter: /^coarse-land$/, namespace: "made" }, () => ({ contents: JSON.stringify(coarseLand()), loader: "json" }));
    context.onLoad({ filter: /^worker-script$/, namespace: "made" }, async () => ({ contents: await workerScript(), loader: "text" }));
  },
};

await build({
  ...options,
  entryPoints: { atlas: here("src/main.js") },
  outdir: page,
  define: { "import.meta.url": '""' },
  inject: [here("src/panes/no_worker.js")],
  plugins: [made],
});
await build({ entryPoints: [here("atlas.css")], outdir: page, bundle: true, minify: true, loader: { ".svg": "dataurl" } });

for (const name of ["index.html", "icon.svg"]) {
  await writeFile(`${page}/${name}`, await readFile(here(name)));
}
await writeFile(`${page}/land.json`, JSON.stringify(fineLand()));
await writeFile(`${page}/LICENSES.txt`, await licences(here("node_modules")));
