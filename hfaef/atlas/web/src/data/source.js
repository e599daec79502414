// Where a release's files are read from: over HTTP with range requests, or from a folder that the
// person picked. Both answer `whole(path, progress)` and `part(path, start, end)`, end exclusive.

import { AtlasError, MissingError, RangesError } from "./errors.js";

const GONE = new Set([401, 403, 404, 410]); // what a signed address answers once it has expired

/** Files below a base address. Redirects are followed once a file, then the final address is used. */
export class HttpSource {
  /**
   * @param {string} base absolute address of the release's folder, with a slash at its end
   * @param {() => void} noRanges is called when the server shows that it answers no ranges
   */
  constructor(base, noRanges) {
    this.base = base;
    this.noRanges = noRanges;
    this.ranges = true; // until a server shows otherwise
    this.resolved = new Map(); // path -> promise of the final address
  }

  /**
   * The whole file. It is asked for as one range from its start, so that a server without ranges
   * is known before the first part is needed.
   * @param {(loaded: number, total: number) => void} [progress] total is 0 where it is not known
   */
  async whole(path, progress) {
    const response = await this.#get(path, "bytes=0-", "default");
    if (response.status === 200) this.#withoutRanges();
    const total = Number(response.headers.get("Content-Length")) || 0;
    return read(response, path, total, progress);
  }

  /** The bytes from start to end (exclusive) of a file. */
  async part(path, start, end) {
    if (!this.ranges) throw new RangesError(path);
    // The browser's cache would let ranges of one file wait for each other, and ask for some twice.
    const response = await this.#get(path, `bytes=${start}-${end - 1}`, "no-store");
    if (response.status === 200) {
      this.#withoutRanges();
      response.body?.cancel().catch(() => {});
      throw new RangesError(path);
    }
    const bytes = await read(response, path, end - start);
    if (bytes.byteLength !== end - start) throw shorter(path, bytes.byteLength, end - start);
    return bytes;
  }

  #withoutRanges() {
    this.ranges = false;
    this.noRanges();
  }

  /** Answers from the final address where it is known and still good, else from the file's own. */
  async #get(path, range, cache) {
    const held = this.resolved.get(path);
    if (held) {
      const known = await held;
      const response = known && (await request(known, path, range, cache).catch(() => null)); // null: gone
      if (response && !GONE.has(response.status)) return checked(response, path);
      const other = this.resolved.get(path);
      if (other && other !== held) return this.#get(path, range, cache); // another has asked anew
    }
    // Others that ask for the file meanwhile wait for this answer's address.
    let settle;
    this.resolved.set(path, new Promise((resolve) => (settle = resolve)));
    let final = null;
    try {
      const address = new URL(path.split("/").map(encodeURIComponent).join("/"), this.base).href;
      const response = checked(await request(address, path, range, cache), path);
      final = response.redirected ? response.url : address;
      return response;
    } finally {
      if (!final) this.resolved.delete(path);
      settle(final); // null: who waits asks for itself
    }
  }
}

/** Files of a folder picked with `<input webkitdirectory>`. */
export class FolderSource {
  /** @param {Iterable<File>} files as the input holds them; one must be atlas/points.parquet */
  constructor(files) {
    this.ranges = true;
    const all = [...files];
    const marks = all.filter((file) => `/${file.webkitRelativePath}`.endsWith("/atlas/points.parquet"));
    marks.sort((a, b) => a.webkitRelativePath.length - b.webkitRelativePath.length);
    if (!marks.length) {
      throw new AtlasError(
        `The folder ${all[0]?.webkitRelativePath.split("/")[0] ?? "picked"} is no release with points (atlas/points.parquet).`,
        "Pick another folder: `hfaef build` or `hfaef eval` makes them.",
      );
    }
    const root = marks[0].webkitRelativePath.slice(0, -"atlas/points.parquet".length);
    this.name = root.replace(/\/$/, "").split("/").pop();
    this.site = all.find((file) => /^[^/]+\/atlas\.json$/.test(file.webkitRelativePath)); // of a site's folder
    this.files = new Map();
    for (const file of all) {
      const path = file.webkitRelativePath;
      if (path.startsWith(root)) this.files.set(path.slice(root.length), file);
    }
  }

  async whole(path, progress) {
    const file = this.#file(path);
    const bytes = await file.arrayBuffer();
    progress?.(file.size, file.size);
    return bytes;
  }

  async part(path, start, end) {
    const file = this.#file(path);
    if (file.size < end) throw shorter(path, file.size, end);
    return file.slice(start, end).arrayBuffer();
  }

  #file(path) {
    const file = this.files.get(path);
    if (!file) throw new MissingError(path);
    return file;
  }
}

const AGAIN = "Load the page again; if it stays so, look at the server.";
export const RENEW = "The file was damaged or changed: `hfaef check` says which files are whole.";

function shorter(path, have, want) {
  return new AtlasError(`${path} gave ${have} bytes where ${want} were asked for.`, RENEW);
}

async function request(address, path, range, cache) {
  try {
    return await fetch(address, { headers: { Range: range }, credentials: "same-origin", cache });
  } catch {
    const offline = navigator.onLine === false;
    throw new AtlasError(
      offline ? `${path} cannot be read: this browser is offline.` : `${path} cannot be reached.`,
      offline ? "Connect and try again." : "The server is down, or does not allow this page to read from it.",
    );
  }
}

/** The answer, if it holds (a part of) the file. */
function checked(response, path) {
  const { status } = response;
  if (status === 200 || status === 206) return response;
  if (status === 404) throw new MissingError(path);
  if (status === 416) throw new AtlasError(`The file ${path} is shorter than the release says.`, RENEW);
  if (status === 409) throw new AtlasError("The release was built again, or changed, since this page was loaded.", "Load the page again.");
  throw new AtlasError(`The server answers ${status} for ${path}.`, AGAIN);
}

async function read(response, path, total, progress) {
  try {
    if (!progress || !response.body) return await response.arrayBuffer();
    const parts = [];
    let loaded = 0;
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      loaded += value.length;
      progress(loaded, total);
    }
    const bytes = new Uint8Array(loaded);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes.buffer;
  } catch {
    throw new AtlasError(`The connection broke while ${path} was read.`, AGAIN);
  }
}
