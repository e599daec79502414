// What can go wrong while reading a release, in words for the person at the page.

export class AtlasError extends Error {
  /**
   * @param {string} message what is wrong and where, one sentence
   * @param {string} [hint] what to do next
   */
  constructor(message, hint = "") {
    super(message);
    this.name = "AtlasError";
    this.hint = hint;
  }
}

/** The server sends whole files where a part was asked for. */
export class RangesError extends AtlasError {
  constructor(path) {
    super(
      `The server answers a request for a part of ${path} with the whole file.`,
      "Open it with `hfaef atlas`, or serve it with a server that answers ranges, such as nginx or Caddy.",
    );
    this.name = "RangesError";
    this.brief = "Not read: the server answers no ranges."; // beside the bar that says it at length
  }
}

/** The file is not there; its path stands in `path`. */
export class MissingError extends AtlasError {
  constructor(path, hint = "") {
    super(`The file ${path} is not there.`, hint);
    this.name = "MissingError";
    this.path = path;
  }
}
