// Previews of patches: the bytes of each JPEG are read from its shard once and kept as blobs.

import { AtlasError } from "./errors.js";
import { RENEW } from "./source.js";

const KEPT = 400;

export class Previews {
  constructor(source, points) {
    this.source = source;
    this.points = points;
    this.kept = new Map(); // row -> promise of an object URL, least recently used first
  }

  /** Whether the release has a preview of this row. */
  has(row) {
    return this.points.preview.shard[row] >= 0;
  }

  /** An address for `img.src`. Throws an AtlasError that says why there is none. */
  url(row) {
    let url = this.kept.get(row);
    if (url) this.kept.delete(row);
    else {
      url = this.#read(row);
      url.catch(() => this.kept.delete(row));
    }
    this.kept.set(row, url);
    if (this.kept.size > KEPT) {
      const [oldest, old] = this.kept.entries().next().value;
      this.kept.delete(oldest);
      old.then(URL.revokeObjectURL, () => {});
    }
    return url;
  }

  async #read(row) {
    const { preview, meta, id } = this.points;
    if (!this.has(row)) throw new AtlasError("The release has no preview of this patch.");
    const { path } = meta.shards[preview.shard[row]];
    const start = preview.offset[row];
    const bytes = await this.source.part(path, start, start + preview.length[row]);
    const type = typeOf(new Uint8Array(bytes));
    if (!type) {
      throw new AtlasError(
        `The bytes in ${path} where the preview of ${id[row]} should be are no picture.`,
        RENEW,
      );
    }
    return URL.createObjectURL(new Blob([bytes], { type }));
  }
}

function typeOf(bytes) {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return "image/jpeg";
  if (bytes[0] === 0x89 && bytes[1] === 0x50 && bytes[2] === 0x4e && bytes[3] === 0x47) return "image/png";
  return null;
}
