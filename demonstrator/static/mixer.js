// Mix decoded stems into a stream: the song with its loops unrolled. Positions are samples at RATE.
import { FRAME } from "./stretch.js";

export const RATE = 48000;
export const SEGMENT = 4 * RATE; // as the server cuts them
export const BLEND = 480; // a segment fades in over the end of the one before
const SEAM = 240; // the fade of a loop
const CHUNK = 64; // levels move once in so many samples
const RING = 32768;
const PREROLL = 4 * FRAME; // of the stream before a start: what the vocoder's first frames look back on

// The decoded segments of all stems, and their mix.
export class Mixer {
  constructor() { this.setStems(0, 0); }

  setStems(n_stems, n_samples) {
    this.length = n_samples;
    this.segments = new Map(); // index -> [[left, right] of each stem]
    this.levels = Array.from({ length: n_stems }, () => ({ left: 0, right: 0, quiet: [] }));
    this.was = Array.from({ length: n_stems }, () => ({ left: 0, right: 0 }));
    this.now = Array.from({ length: n_stems }, () => ({ left: 0, right: 0 }));
  }

  quiet(stem, position) {
    return this.levels[stem].quiet.some(([from, to]) => position >= from && position < to);
  }

  // Move the levels a step towards their targets; over a chunk they go from where they were to where they are.
  move(position, at_once) {
    for (let stem = 0; stem < this.levels.length; stem++) {
      const level = this.levels[stem];
      const still = this.quiet(stem, position) ? 0 : 1;
      for (const side of ["left", "right"]) {
        const step = still * level[side] - this.now[stem][side];
        this.was[stem][side] = this.now[stem][side] + (at_once ? step : 0);
        this.now[stem][side] += at_once || Math.abs(step) < 1e-5 ? step : 0.25 * step;
      }
    }
  }

  // Whether `n` samples from `position` on can be mixed; if not, the segment that is missing.
  missing(position, n) {
    const last = Math.min(position + n, this.length) - 1;
    for (let index = Math.floor(Math.max(0, position) / SEGMENT); index <= Math.floor(last / SEGMENT); index++) {
      if (!this.segments.has(index)) return index;
    }
    return -1;
  }

  // Add a chunk of `n` samples; `fade` gives the weight of the k-th.
  add(position, left, right, at, n, fade) {
    for (let done = 0; done < n; ) {
      const from = position + done;
      if (from < 0) { done = Math.min(n, -position); continue; }
      if (from >= this.length) return;
      const index = Math.floor(from / SEGMENT);
      const offset = from - index * SEGMENT;
      const size = Math.min(n - done, SEGMENT - offset, this.length - from);
      this.addFrom(index, offset, left, right, at + done, size, (k) => fade(done + k), (k) => (done + k + 1) / n);
      done += size;
    }
  }

  addFrom(index, offset, left, right, at, n, fade, passed) {
    const segment = this.segments.get(index);
    if (!segment) return;
    const before = offset < BLEND ? this.segments.get(index - 1) : null;
    for (let stem = 0; stem < segment.length; stem++) {
      const [was, now] = [this.was[stem], this.now[stem]];
      if (!now.left && !now.right && !was.left && !was.right) continue;
      const [one, two] = segment[stem];
      for (let k = 0; k < n; k++) {
        const o = offset + k;
        let l = one[o];
        let r = two[o];
        if (before && o < BLEND) {
          const share = (o + 0.5) / BLEND;
          l = l * share + before[stem][0][SEGMENT + o] * (1 - share);
          r = r * share + before[stem][1][SEGMENT + o] * (1 - share);
        }
        const weight = fade(k);
        const share = passed(k);
        left[at + k] += l * (was.left + share * (now.left - was.left)) * weight;
        right[at + k] += r * (was.right + share * (now.right - was.right)) * weight;
      }
    }
  }
}

const WHOLE = () => 1;

// The song with its loops unrolled, mixed into a ring. Stream positions count from the last start.
export class Stream {
  constructor(mixer) {
    this.mixer = mixer;
    this.left = new Float32Array(RING);
    this.right = new Float32Array(RING);
    this.part = [new Float32Array(CHUNK), new Float32Array(CHUNK)];
    this.loop = null; // [from, to)
    this.start(0);
  }

  start(song) {
    this.end = -PREROLL; // what is mixed
    this.song = song - PREROLL; // where in the song the end is
    this.joints = [{ stream: -PREROLL, song: song - PREROLL }];
    this.fresh = true;
  }

  // Mix until `end`; return the index of the segment that is missing, or -1.
  fill(end) {
    while (this.end < end) {
      let n = Math.min(CHUNK, end - this.end);
      const [from, to] = this.loop || [0, Infinity];
      const seam = Math.min(SEAM, (to - from) >> 1);
      const inside = this.loop && this.end >= 0 && this.song < to;
      if (inside && this.song >= from) n = Math.min(n, this.song < to - seam ? to - seam - this.song : to - this.song);
      const missing = this.end < 0 ? -1 : this.mixer.missing(this.song, n);
      if (missing >= 0) return missing;
      this.mix(n, inside && this.song >= to - seam ? { from, to, seam } : null);
      this.end += n;
      this.song += n;
      if (inside && this.song >= to) {
        this.song = from;
        this.joints.push({ stream: this.end, song: from });
        while (this.joints.length > 2 && this.joints[1].stream < this.end - RING) this.joints.shift();
      }
    }
    return -1;
  }

  mix(n, joint) {
    const [left, right] = this.part;
    left.fill(0);
    right.fill(0);
    this.mixer.move(this.song, this.fresh);
    this.fresh = false;
    if (!joint) {
      this.mixer.add(this.song, left, right, 0, n, WHOLE);
    } else {
      const { from, to, seam } = joint;
      const share = (k) => (this.song + k - (to - seam) + 0.5) / seam;
      this.mixer.add(this.song, left, right, 0, n, (k) => 1 - share(k));
      this.mixer.add(this.song - to + from, left, right, 0, n, share);
    }
    for (let k = 0; k < n; k++) {
      const at = (this.end + k + 2 * RING) % RING;
      this.left[at] = left[k];
      this.right[at] = right[k];
    }
  }

  read(position, left, right, n) {
    for (let k = 0; k < n; k++) {
      const at = (position + k + 2 * RING) % RING;
      left[k] = this.left[at];
      right[k] = this.right[at];
    }
  }

  // Where in the song a stream position is.
  songAt(position) {
    let k = this.joints.length - 1;
    while (k > 0 && this.joints[k].stream > position) k--;
    return this.joints[k].song + position - this.joints[k].stream;
  }
}
