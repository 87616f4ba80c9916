// The lanes of the room: who is heard and how loud, and the pictures. All lanes show the same part of the song.
const pressed = (button) => button.getAttribute("aria-pressed") === "true";
export const press = (button, on) => button.setAttribute("aria-pressed", String(on));
const pick = (data, path) => path.split(".").reduce((part, key) => part[key], data);

class Lane {
  constructor(element) {
    this.element = element;
    this.key = element.dataset.lane;
    for (const part of ["solo", "mute", "silence", "picture"]) this[part] = element.querySelector(`.${part}`);
    this.volume = element.querySelector(".lane-volume input");
    this.pan = element.querySelector(".lane-pan input");
    this.quiet = []; // [from, to] in seconds
    this.canvas = element.querySelector("canvas");
    this.image = element.querySelector("img");
  }

  get level() { return (this.volume.value / 100) ** 2; }

  // Gains of both sides: a balance, which leaves the middle as it is.
  get sides() {
    const pan = this.pan ? this.pan.value / 100 : 0;
    return { left: this.level * Math.min(1, 1 - pan), right: this.level * Math.min(1, 1 + pan) };
  }

  // Be quiet between two places; where that is so already, no longer.
  toggleQuiet([from, to]) {
    const already = this.quiet.some(([a, b]) => a <= from + 1e-6 && b >= to - 1e-6);
    if (already) {
      this.quiet = this.quiet.flatMap(([a, b]) => [[a, Math.min(b, from)], [Math.max(a, to), b]]).filter(([a, b]) => b - a > 1e-3);
      return;
    }
    const near = this.quiet.filter(([a, b]) => a <= to && b >= from);
    const joined = [Math.min(from, ...near.map(([a]) => a)), Math.max(to, ...near.map(([, b]) => b))];
    this.quiet = [...this.quiet.filter((range) => !near.includes(range)), joined].sort((one, two) => one[0] - two[0]);
  }

  showQuiet(shown) {
    for (const old of this.picture.querySelectorAll(".quiet-range")) old.remove();
    for (const [a, b] of this.quiet) {
      const box = document.createElement("div");
      box.className = "quiet-range";
      box.style.left = `${(100 * (a - shown.from)) / (shown.to - shown.from)}%`;
      box.style.width = `${(100 * (b - a)) / (shown.to - shown.from)}%`;
      this.picture.append(box);
    }
  }
}

export class Lanes {
  // `changed` is called when something else is to be heard; `span` gives the loop, [from, to] or null.
  constructor(root, changed, span) {
    this.root = root;
    this.changed = changed;
    this.all = [...root.querySelectorAll(".lane")].map((element) => new Lane(element));
    this.used = null; // the lane that S and M act on
    for (const lane of this.all) {
      lane.solo.addEventListener("click", () => this.solo(lane));
      if (lane.mute) lane.mute.addEventListener("click", () => this.mute(lane));
      lane.volume.addEventListener("input", () => this.tell(lane));
      if (lane.pan) lane.pan.addEventListener("input", () => this.tell(lane));
      if (lane.silence) lane.silence.addEventListener("click", () => {
        if (span()) lane.toggleQuiet(span());
        this.tell(lane);
      });
    }
  }

  use(config) {
    this.config = config;
    for (const lane of this.all) Object.assign(lane, { about: config.lanes[lane.key] });
    this.original = this.all.find((lane) => lane.about.original) || null;
    this.parts = this.all.filter((lane) => lane !== this.original);
  }

  tell(lane) {
    if (lane && lane !== this.original) this.used = lane;
    for (const one of this.all) one.element.classList.toggle("used", one === this.used);
    this.changed();
  }

  get hearsOriginal() { return Boolean(this.original) && pressed(this.original.solo); }

  // The original and its parts are never heard together; from the original one comes back to a part that had its solo.
  solo(lane) {
    press(lane.solo, (this.hearsOriginal && lane !== this.original) || !pressed(lane.solo));
    if (this.original && lane !== this.original) press(this.original.solo, false);
    this.tell(lane);
  }

  mute(lane) {
    press(lane.mute, !pressed(lane.mute));
    if (this.original) press(this.original.solo, false);
    this.tell(lane);
  }

  soloOnly(lane) {
    const only = this.hearsOriginal || !(pressed(lane.solo) && this.parts.filter((one) => pressed(one.solo)).length === 1);
    for (const one of this.parts) press(one.solo, one === lane && only);
    if (this.original) press(this.original.solo, false);
    this.tell(lane);
  }

  // Levels of each stem of the room.
  levels(n_stems) {
    const { hearsOriginal } = this;
    const soloed = this.parts.some((lane) => pressed(lane.solo));
    const levels = Array.from({ length: n_stems }, () => ({ left: 0, right: 0, quiet: [] }));
    for (const lane of this.all) {
      const heard = lane === this.original ? hearsOriginal
        : !hearsOriginal && (soloed ? pressed(lane.solo) : !pressed(lane.mute));
      lane.element.classList.toggle("quiet-lane", !heard);
      for (const stem of heard ? lane.about.stems : []) {
        const { scale } = this.config.stems[stem];
        const { left, right } = lane.sides;
        levels[stem] = { left: left * scale, right: right * scale, quiet: lane.quiet };
      }
    }
    return levels;
  }

  // ---- pictures

  // `shown` is {from, to} in seconds of the song.
  draw(view, shown) {
    const style = getComputedStyle(document.documentElement);
    const loudest = Math.max(1e-6, ...this.all.map((lane) => pick(view, lane.about.peaks).reduce((a, b) => Math.max(a, b))));
    const { duration_s } = view;
    for (const lane of this.all) {
      const peaks = pick(view, lane.about.peaks);
      paint(lane.canvas, peaks, loudest, style.getPropertyValue(lane.about.colour), shown, duration_s);
      lane.showQuiet(shown);
      lane.image.style.width = `${(100 * duration_s) / (shown.to - shown.from)}%`;
      lane.image.style.left = `${(-100 * shown.from) / (shown.to - shown.from)}%`;
    }
  }

  showSpectra(on) {
    this.root.classList.toggle("showing-spectra", on);
    for (const lane of this.all) lane.image.hidden = !on;
  }

  // ---- to keep

  get state() {
    return Object.fromEntries(this.all.map((lane) => [lane.key, {
      solo: pressed(lane.solo), mute: Boolean(lane.mute) && pressed(lane.mute), volume: Number(lane.volume.value),
      pan: lane.pan ? Number(lane.pan.value) : 0, quiet: lane.quiet,
    }]));
  }

  set state(state) {
    for (const lane of this.all) {
      const kept = state[lane.key] || { solo: lane.about.solo, mute: false, volume: 100 };
      press(lane.solo, kept.solo);
      if (lane.mute) press(lane.mute, kept.mute);
      lane.volume.value = kept.volume;
      if (lane.pan) lane.pan.value = kept.pan || 0;
      lane.quiet = kept.quiet || [];
    }
    this.tell(null);
  }
}

// A canvas of as many points as the screen has there; null while it is not shown.
export function penOf(canvas) {
  const scale = window.devicePixelRatio || 1;
  const box = canvas.getBoundingClientRect();
  if (!box.width) return null;
  canvas.width = Math.round(box.width * scale);
  canvas.height = Math.round(box.height * scale);
  return { pen: canvas.getContext("2d"), scale, width: canvas.width, height: canvas.height };
}

function paint(canvas, peaks, loudest, colour, shown, duration_s) {
  const paper = penOf(canvas);
  if (!paper) return;
  const { pen, scale, width, height } = paper;
  pen.fillStyle = colour;
  const step = 3 * scale;
  const at = (x) => ((shown.from + (x / width) * (shown.to - shown.from)) / duration_s) * peaks.length;
  for (let x = 0; x < width; x += step) {
    const first = Math.max(0, Math.floor(at(x)));
    const last = Math.min(peaks.length, Math.max(first + 1, Math.floor(at(x + step))));
    let level = 0;
    for (let k = first; k < last; k++) level = Math.max(level, peaks[k]);
    const tall = Math.max(scale, (level / loudest) * (height - 4 * scale));
    pen.fillRect(x, (height - tall) / 2, step - scale, tall);
  }
}
