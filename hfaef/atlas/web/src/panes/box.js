// Box selection: a drag with shift held, or any drag while the pane's box button is on.

const LEAST = 4; // pixels; a smaller drag is a click

/**
 * @param {import("./pane.js").Pane} pane
 * @param {import("./overlay.js").Overlay} overlay
 * @param {object} on armed(): whether the button is on; done(box): data coordinates
 */
export function watchBox(pane, overlay, { armed, done }) {
  const surface = pane.map.getCanvasContainer();
  let start = null;

  const at = (event) => {
    const { left, top } = surface.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  const stop = () => {
    start = null;
    overlay.setDraft(null);
    pane.map.dragPan.enable();
  };

  // In the capture phase: the map must not see the press and begin to move.
  pane.container.addEventListener(
    "pointerdown",
    (event) => {
      if (event.button !== 0 || !(event.shiftKey || armed()) || !surface.contains(event.target)) return;
      start = at(event);
      pane.map.dragPan.disable();
      surface.setPointerCapture(event.pointerId);
      event.preventDefault();
    },
    true,
  );
  surface.addEventListener("pointermove", (event) => {
    if (start) overlay.setDraft([...start, ...at(event)]);
  });
  surface.addEventListener("pointerup", (event) => {
    if (!start) return;
    const [from, to] = [start, at(event)];
    stop();
    if (Math.abs(to[0] - from[0]) < LEAST || Math.abs(to[1] - from[1]) < LEAST) return;
    const west = Math.min(from[0], to[0]);
    const east = Math.max(from[0], to[0]);
    const [x0, y1] = pane.plane.toData(...pane.toWorld(west, Math.min(from[1], to[1])));
    const [x1, y0] = pane.plane.toData(...pane.toWorld(east, Math.max(from[1], to[1])));
    done([x0, y0, x1, y1]);
  });
  surface.addEventListener("pointercancel", stop);
  return { cancel: () => start && stop() };
}
