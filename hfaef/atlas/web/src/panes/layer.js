// The points of a pane: a custom layer of MapLibre that draws them by WebGL straight from typed
// arrays. The panes neither turn nor tilt, so that a position on the screen is
// (position - centre) * size of the world; positions are split into two float32 each, so that
// nothing trembles at high zooms. What was drawn is kept: MapLibre asks for frames in which nothing
// moved, at every press of the mouse, and 200,000 points take a while without a graphics card.

const VERTEX = `#version 300 es
layout(location = 0) in vec4 place;  // x, y: high parts; z, w: low parts
layout(location = 1) in vec4 style;  // colour; alpha is the mark
uniform vec4 centre;
uniform vec2 scale;
uniform float size;
out vec3 colour;
flat out float mark;
void main() {
  vec2 offset = (place.xy - centre.xy) + (place.zw - centre.zw);
  gl_Position = vec4(offset * scale, 0.0, 1.0);
  gl_PointSize = size;
  colour = style.rgb;
  mark = style.a;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec3 colour;
flat in float mark;
uniform float size;
uniform float alpha;
uniform vec3 rim;
uniform float ring;
out vec4 pixel;
void main() {
  vec2 at = (gl_PointCoord - 0.5) * size;
  float far = mark > 0.5 ? (abs(at.x) + abs(at.y)) * 0.8 : length(at);
  float radius = size * 0.5 - 0.5;
  float cover = clamp(radius - far + 0.5, 0.0, 1.0);
  if (cover <= 0.0) discard;
  float inner = clamp(radius - ring - far + 0.5, 0.0, 1.0);
  vec3 mixed = mix(rim, colour, ring > 0.0 ? inner : 1.0);
  float a = cover * alpha;
  pixel = vec4(mixed * a, a);
}`;

export class PointLayer {
  id = "points";
  type = "custom";
  renderingMode = "2d";
  radius = 3; // CSS pixels
  rim = [1, 1, 1];
  #dirty = { places: true, styles: true, order: true };

  /** @param {number} n rows */
  constructor(n) {
    this.n = n;
    this.places = new Float32Array(n * 4);
    this.styles = new Uint8Array(n * 4);
    this.order = new Uint32Array(n);
    this.ghosts = 0; // how many of `order`, from its start, are drawn faintly
  }

  /** @param {Float64Array} positions x and y by turns, in worlds */
  setPositions(positions) {
    for (let row = 0; row < this.n; row++) {
      for (const axis of [0, 1]) {
        const value = positions[2 * row + axis];
        const high = Math.fround(value);
        this.places[4 * row + axis] = high;
        this.places[4 * row + 2 + axis] = value - high;
      }
    }
    this.#touch("places");
  }

  /** @param {(row: number) => {rgb: number[], mark: number}} swatchOf */
  setStyles(swatchOf) {
    for (let row = 0, at = 0; row < this.n; row++) {
      const { rgb, mark } = swatchOf(row);
      this.styles[at++] = rgb[0];
      this.styles[at++] = rgb[1];
      this.styles[at++] = rgb[2];
      this.styles[at++] = mark ? 255 : 0;
    }
    this.#touch("styles");
  }

  /**
   * Rows that fail a filter are drawn faintly below those that pass, grey ones below coloured; each
   * kind in a shuffled order, so that no category covers the others.
   */
  setOrder(fails, isGrey) {
    const layers = [[], [], []];
    const stride = coprime(this.n);
    for (let step = 0, row = 0; step < this.n; step++, row = (row + stride) % this.n) {
      layers[fails[row] ? 0 : isGrey(row) ? 1 : 2].push(row);
    }
    let at = 0;
    for (const rows of layers) for (const row of rows) this.order[at++] = row;
    this.ghosts = layers[0].length;
    this.#touch("order");
  }

  onAdd(map, gl) {
    this.map = map;
    this.program = link(gl);
    this.uniforms = Object.fromEntries(
      ["centre", "scale", "size", "alpha", "rim", "ring"].map((name) => [name, gl.getUniformLocation(this.program, name)]),
    );
    this.buffers = { places: gl.createBuffer(), styles: gl.createBuffer(), order: gl.createBuffer() };
    this.kept = { frame: gl.createFramebuffer(), picture: gl.createRenderbuffer(), of: "" };
    this.vao = gl.createVertexArray();
    gl.bindVertexArray(this.vao);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.places);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 4, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.styles);
    gl.enableVertexAttribArray(1);
    gl.vertexAttribPointer(1, 4, gl.UNSIGNED_BYTE, true, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffers.order);
    gl.bindVertexArray(null);
    this.#dirty = { places: true, styles: true, order: true };
  }

  render(gl) {
    const { drawingBufferWidth: width, drawingBufferHeight: height } = gl;
    const { centre, scale } = this.view();
    const { kept } = this;
    const of = [width, height, ...centre, ...scale, this.radius, ...this.rim].join();
    const shown = gl.getParameter(gl.DRAW_FRAMEBUFFER_BINDING);
    gl.bindFramebuffer(gl.FRAMEBUFFER, kept.frame);
    if (kept.of !== of || Object.values(this.#dirty).includes(true)) {
      gl.bindRenderbuffer(gl.RENDERBUFFER, kept.picture);
      gl.renderbufferStorage(gl.RENDERBUFFER, gl.RGBA8, width, height);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.RENDERBUFFER, kept.picture);
      gl.viewport(0, 0, width, height);
      gl.disable(gl.SCISSOR_TEST);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      this.#draw(gl, centre, scale);
      kept.of = of;
    }
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, shown);
    gl.blitFramebuffer(0, 0, width, height, 0, 0, width, height, gl.COLOR_BUFFER_BIT, gl.NEAREST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, shown);
  }

  #draw(gl, centre, scale) {
    const { uniforms } = this;
    gl.bindVertexArray(this.vao);
    this.#upload(gl);
    gl.useProgram(this.program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.disable(gl.DEPTH_TEST);
    gl.disable(gl.STENCIL_TEST);
    const [x, y] = centre.map(Math.fround);
    gl.uniform4f(uniforms.centre, x, y, centre[0] - x, centre[1] - y);
    gl.uniform2f(uniforms.scale, scale[0], scale[1]);
    gl.uniform3f(uniforms.rim, ...this.rim);
    const dots = gl.drawingBufferWidth / this.map.getCanvas().clientWidth;
    const draw = (radius, alpha, from, to) => {
      if (to <= from) return;
      const size = Math.max(2, 2 * radius * dots) + 1;
      gl.uniform1f(uniforms.size, size);
      gl.uniform1f(uniforms.alpha, alpha);
      gl.uniform1f(uniforms.ring, radius >= 3 ? 0.9 * dots : 0);
      gl.drawElements(gl.POINTS, to - from, gl.UNSIGNED_INT, from * 4);
    };
    draw(Math.max(1, this.radius * 0.5), 0.16, 0, this.ghosts);
    draw(this.radius, this.radius < 3 ? 0.85 : 1, this.ghosts, this.n);
    gl.bindVertexArray(null);
  }

  #touch(what) {
    this.#dirty[what] = true;
    this.map?.triggerRepaint();
  }

  #upload(gl) {
    const dirty = this.#dirty;
    const array = (target, name) => {
      if (!dirty[name]) return;
      gl.bindBuffer(target, this.buffers[name]);
      gl.bufferData(target, this[name], gl.DYNAMIC_DRAW);
      dirty[name] = false;
    };
    array(gl.ARRAY_BUFFER, "places");
    array(gl.ARRAY_BUFFER, "styles");
    array(gl.ELEMENT_ARRAY_BUFFER, "order");
  }
}

/** A step of about 0.618 n that meets every row once. */
function coprime(n) {
  const divisor = (a, b) => (b ? divisor(b, a % b) : a);
  let stride = Math.max(1, Math.round(n * 0.618));
  while (divisor(stride, n) > 1) stride++;
  return stride;
}

function link(gl) {
  const program = gl.createProgram();
  for (const [type, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  return program;
}
