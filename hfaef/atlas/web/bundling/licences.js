// LICENSES.txt: the licence of every package that the page holds, word for word.

import { readdir, readFile } from "node:fs/promises";

const PACKAGES = [
  // MapLibre and what its bundle holds
  "maplibre-gl",
  "@mapbox/point-geometry",
  "@mapbox/tiny-sdf",
  "@mapbox/unitbezier",
  "@mapbox/vector-tile",
  "@maplibre/geojson-vt",
  "@maplibre/maplibre-gl-style-spec",
  "@maplibre/mlt",
  "@maplibre/vt-pbf",
  "bidi-js",
  "earcut",
  "gl-matrix",
  "kdbush",
  "murmurhash-js",
  "pbf",
  "potpack",
  "tinyqueue",
  // the rest of the page
  "fzstd",
  "hyparquet",
  "world-atlas",
];

// Packages that ship no licence file: what their sources say.
const WITHOUT_FILE = {
  "murmurhash-js": `Copyright (c) 2011 Gary Court (http://github.com/garycourt/murmurhash-js)

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense,
and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so,
subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT.
IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION
WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`,
};

const HEAD = `The page holds the packages below, each under its own licence. Land and borders are Natural Earth's,
in the public domain, in the form that the package world-atlas gives them.
`;

/** @param {string} modules the folder node_modules */
export async function licences(modules) {
  const parts = [HEAD];
  for (const name of PACKAGES) {
    const folder = `${modules}/${name}`;
    const { version, license } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
    const file = (await readdir(folder)).find((one) => /^licen[cs]e(\.\w+)?$/i.test(one));
    const text = file ? await readFile(`${folder}/${file}`, "utf8") : WITHOUT_FILE[name];
    if (!text) throw new Error(`${name} has no licence file`);
    const title = `${name} ${version}${license ? ` (${license})` : ""}`;
    parts.push(`${"=".repeat(80)}\n${title}\n${"=".repeat(80)}\n\n${text.replaceAll("\r\n", "\n").trim()}\n`);
  }
  return parts.join("\n");
}
