// The script of a worker: decodes chunks of vectors as they are sent. The build bundles it as text.

import { decodeChunk } from "./chunk.js";

onmessage = ({ data: { job, bytes, form } }) => {
  try {
    const found = decodeChunk(bytes, form);
    postMessage({ job, found }, found ? [found.values.buffer, found.norms.buffer] : []);
  } catch (error) {
    postMessage({ job, problem: error.message });
  }
};
