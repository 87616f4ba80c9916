// Where in the song: the part that is shown, the loop, dragging on the pictures, the handles of the loop.
const NEAR_PX = 9; // to the edge of a loop
const DRAG_PX = 5;
const SHORTEST_S = 0.1;
const NUDGE_S = 0.01;
const MOST_ZOOM = 32;

export const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
export const exactly = (s) => `${clock(s)}.${Math.floor((s * 10) % 10)}`;

export class Timeline {
  // `player` has `position`, `duration`, `seek(seconds)`, `snap(seconds)`, `beat(seconds, steps)` and `moved()`, which
  // is called when the loop or the part that is shown has changed.
  constructor(root, player) {
    this.root = root;
    this.player = player;
    this.loop = { a: null, b: null, on: false };
    this.zoom = 1;
    this.from = 0;
    this.ruler = document.getElementById("ruler");
    this.handles = { a: document.getElementById("handle-a"), b: document.getElementById("handle-b") };
    for (const surface of [this.ruler, ...root.querySelectorAll(".picture")]) this.watch(surface);
    for (const [edge, handle] of Object.entries(this.handles)) {
      handle.addEventListener("keydown", (event) => this.nudge(edge, event));
    }
  }

  get shown() {
    const length = this.player.duration / this.zoom;
    return { from: this.from, to: this.from + length };
  }

  get ready() { return this.loop.a !== null && this.loop.b !== null; }

  // What the engine loops: [from, to] or null.
  get span() { return this.loop.on && this.ready ? [this.loop.a, this.loop.b] : null; }

  // ---- the part that is shown

  setZoom(zoom) {
    const middle = this.player.position;
    this.zoom = Math.min(MOST_ZOOM, Math.max(1, zoom));
    this.show(middle - this.player.duration / this.zoom / 2);
  }

  show(from) {
    this.from = this.inSong(from);
    this.player.moved();
  }

  inSong(from) { return Math.min(Math.max(0, from), this.player.duration * (1 - 1 / this.zoom)); }

  // Turn the page when the playhead leaves it.
  follow() {
    const { from, to } = this.shown;
    const { position } = this.player;
    const next = this.inSong(position - (to - from) * 0.1);
    // the last page cannot be turned, though rounding may put the end of the song beyond it
    if (this.zoom > 1 && !this.dragging && (position < from || position > to) && next !== from) this.show(next);
    const at = this.percent(position);
    for (const head of this.root.querySelectorAll(".head")) {
      head.style.left = `${at}%`;
      head.hidden = at < 0 || at > 100;
    }
  }

  percent(seconds) {
    const { from, to } = this.shown;
    return to > from ? (100 * (seconds - from)) / (to - from) : 0;
  }

  // ---- the loop

  setLoop(a, b, on = true) {
    [a, b] = a <= b ? [a, b] : [b, a];
    if (b - a < SHORTEST_S) b = Math.min(this.player.duration, a + SHORTEST_S);
    if (b - a < SHORTEST_S) a = Math.max(0, b - SHORTEST_S);
    Object.assign(this.loop, { a, b, on });
    this.player.moved();
  }

  setEdge(edge, seconds) {
    const other = this.loop[edge === "a" ? "b" : "a"];
    const at = Math.min(Math.max(0, seconds), this.player.duration);
    if (other === null) {
      this.loop[edge] = at;
      this.player.moved();
    } else {
      this.setLoop(edge === "a" ? at : other, edge === "a" ? other : at);
    }
  }

  clear() {
    Object.assign(this.loop, { a: null, b: null, on: false });
    this.player.moved();
  }

  toggle() {
    if (this.ready) { this.loop.on = !this.loop.on; this.player.moved(); }
    else this.setLoop(this.loop.a ?? 0, this.loop.b ?? this.player.duration);
  }

  // A jump to outside of the loop leaves it.
  leaveAt(seconds) {
    if (this.span && (seconds < this.loop.a - 1e-6 || seconds >= this.loop.b)) {
      this.loop.on = false;
      this.player.moved();
    }
  }

  nudge(edge, event) {
    const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const at = this.loop[edge];
    this.setEdge(edge, event.shiftKey ? this.player.beat(at, way) : at + way * NUDGE_S);
    if (document.activeElement !== this.handles[edge]) this.handles[edge].focus();
  }

  showLoop() {
    const { a, b, on } = this.loop;
    for (const region of this.root.querySelectorAll(".region")) {
      region.hidden = !this.ready;
      region.classList.toggle("off", !on);
      if (!this.ready) continue;
      const left = Math.max(0, this.percent(a));
      region.style.left = `${left}%`;
      region.style.width = `${Math.max(0, Math.min(100, this.percent(b)) - left)}%`;
    }
    for (const [edge, handle] of Object.entries(this.handles)) {
      const at = this.ready ? this.percent(this.loop[edge]) : -1;
      handle.hidden = at < 0 || at > 100;
      handle.style.left = `${at}%`;
      handle.setAttribute("aria-valuemax", this.player.duration.toFixed(2));
      handle.setAttribute("aria-valuenow", (this.loop[edge] || 0).toFixed(2));
      handle.setAttribute("aria-valuetext", exactly(this.loop[edge] || 0));
    }
  }

  // ---- the pointer: a click jumps, a drag makes a loop or moves its edge

  watch(surface) {
    const secondsAt = (event) => {
      const box = surface.getBoundingClientRect();
      const { from, to } = this.shown;
      return Math.min(Math.max(0, from + ((event.clientX - box.left) / box.width) * (to - from)), this.player.duration);
    };
    const edgeAt = (event) => {
      const width = surface.getBoundingClientRect().width;
      const far = (edge) => Math.abs(this.percent(this.loop[edge]) - this.percent(secondsAt(event))) * width / 100;
      const close = this.ready ? ["a", "b"].filter((edge) => far(edge) <= NEAR_PX) : [];
      return close.sort((one, two) => far(one) - far(two))[0] || null;
    };
    surface.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      surface.setPointerCapture(event.pointerId);
      const edge = edgeAt(event);
      const fixed = edge ? this.loop[edge === "a" ? "b" : "a"] : this.player.snap(secondsAt(event));
      this.dragging = { x: event.clientX, fixed, edge, moved: false, to: null };
    });
    surface.addEventListener("pointermove", (event) => {
      surface.classList.toggle("at-edge", Boolean(edgeAt(event)));
      const drag = this.dragging;
      if (!drag || (!drag.moved && Math.abs(event.clientX - drag.x) < DRAG_PX)) return;
      drag.moved = true;
      this.setLoop(drag.fixed, this.player.snap(secondsAt(event)));
    });
    surface.addEventListener("pointerup", (event) => {
      const drag = this.dragging;
      this.dragging = null;
      if (drag && !drag.moved) this.player.seek(secondsAt(event));
      else if (drag && !drag.edge) this.player.seek(this.loop.a);
    });
    surface.addEventListener("pointercancel", () => { this.dragging = null; });
  }
}
