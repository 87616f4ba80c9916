// The sound of the practice room: loops, slows down and transposes the mix of `mixer.js`, clicks and counts in. Plain
// arithmetic: runs in an audio worklet, in a page without one, and in tests. Times in messages are seconds of the song;
// inside, song positions are samples at RATE.
import { Mixer, RATE, Stream } from "./mixer.js";
import { FRAME, Stretcher } from "./stretch.js";

const FADE = 256; // samples, of pauses and jumps
const CLICK = Math.round(0.03 * RATE);
const REPORT = 1024;

// A metronome: short decaying tones.
class Clicks {
  constructor() {
    this.level = 0;
    this.since = CLICK;
    this.pitch_hz = 1000;
  }

  strike(accent) {
    this.since = 0;
    this.pitch_hz = accent ? 1600 : 1000;
  }

  add(left, right, from, to) {
    for (let k = from; k < to && this.since < CLICK; k++, this.since++) {
      const t = this.since / RATE;
      const value = 0.5 * this.level * Math.exp(-t * 150) * Math.sin(2 * Math.PI * this.pitch_hz * t);
      left[k] += value;
      right[k] += value;
    }
  }
}

export class Engine {
  // `report` gets {type: "state", position, missing} and {type: "ended"}, with the serial number of the last jump.
  constructor(report = () => {}) {
    this.report = report;
    this.mixer = new Mixer();
    this.stream = new Stream(this.mixer);
    this.stretcher = new Stretcher((position, left, right) => this.stream.read(position, left, right, FRAME));
    this.clicks = new Clicks();
    this.beats = []; // [sample, whether it begins a bar]
    this.playing = false;
    this.plain = true; // neither slowed down nor transposed: the stream itself is heard
    this.position = 0; // stream position of the next output sample
    this.volume = this.volumeNow = 1;
    this.count = null;
    this.rising = 0; // samples since a start
    this.waiting = []; // messages that wait for the sound to fade out
    this.missing = -1;
    this.sinceReport = 0;
    this.serial = 0;
  }

  // Messages that jump have a serial number; they wait until the sound has faded, and what comes after waits behind them.
  take(message) {
    if (this.waiting.length || (message.serial && this.playing)) this.waiting.push(message);
    else this.obey(message);
  }

  obey(message) {
    this[message.type](message);
    this.serial = message.serial || this.serial;
  }

  stems({ n_stems, duration_s }) {
    this.mixer.setStems(n_stems, Math.round(duration_s * RATE));
    this.begin(this.stream.songAt(Math.round(this.position)));
  }

  segment({ index, stems }) { this.mixer.segments.set(index, stems); }

  keep({ indexes }) {
    for (const index of this.mixer.segments.keys()) if (!indexes.includes(index)) this.mixer.segments.delete(index);
  }

  levels({ levels }) {
    this.mixer.levels = levels.map(({ left, right, quiet = [] }) => (
      { left, right, quiet: quiet.map(([from, to]) => [from * RATE, to * RATE]) }));
  }

  master({ level }) { this.volume = level; }

  seek({ position }) { this.begin(Math.round(position * RATE)); }

  play({ count = null }) {
    if (!this.playing) this.begin(this.songPosition());
    this.playing = true;
    this.count = count && { left: count.n, period: count.period_s * RATE, until: 0, accents: count.n };
  }

  pause() {
    const song = this.songPosition();
    this.playing = false;
    this.count = null;
    this.begin(song);
  }

  tempo({ speed, ratio }) {
    const song = this.songPosition();
    this.plain = speed === 1 && ratio === 1;
    this.stretcher.set(speed, ratio);
    this.begin(song);
  }

  loop({ loop }) { this.stream.loop = loop && loop.map((seconds) => Math.round(seconds * RATE)); }

  grid({ beats }) { this.beats = beats.map(([seconds, accent]) => [seconds * RATE, accent]); }

  click({ level }) { this.clicks.level = level; }

  songPosition() { return Math.round(this.stream.songAt(this.position)); }

  begin(song) {
    this.stream.start(Math.min(Math.max(0, song), Math.max(0, this.mixer.length)));
    this.position = 0;
    this.primed = false;
    this.rising = 0;
  }

  // Fill `left` and `right`, both of the same length, at most a few thousand samples.
  process(left, right) {
    left.fill(0);
    right.fill(0);
    const n = left.length;
    if (this.playing && this.render(left, right, n) && this.waiting.length) fadeOut(left, right);
    while (this.waiting.length) this.obey(this.waiting.shift());
    this.loudness(left, right, n);
    this.sinceReport += n;
    if (this.sinceReport >= REPORT) this.tell();
  }

  render(left, right, n) {
    if (this.count) return this.countIn(left, right, n);
    if (!this.ready(n)) return false;
    const before = this.position;
    if (this.plain) {
      this.stream.read(this.position, left, right, n);
      this.position += n;
    } else {
      this.stretcher.process(left, right, n);
      this.position = this.stretcher.position;
    }
    for (let k = 0; k < n && this.rising < FADE; k++, this.rising++) {
      left[k] *= this.rising / FADE;
      right[k] *= this.rising / FADE;
    }
    this.clickAlong(left, right, n, before);
    if (this.stream.songAt(this.position) >= this.mixer.length) {
      this.playing = false;
      this.begin(this.mixer.length);
      this.report({ type: "ended", serial: this.serial });
    }
    return true;
  }

  // Mix what the next `n` samples need; false while a segment is missing.
  ready(n) {
    if (this.plain) {
      this.missing = this.stream.fill(this.position + n);
    } else {
      if (!this.primed) {
        this.missing = this.stream.fill(FRAME);
        if (this.missing >= 0) return false;
        this.stretcher.reset(0);
        this.primed = true;
      }
      this.missing = this.stream.fill(this.stretcher.needed(n));
    }
    return this.missing < 0;
  }

  countIn(left, right, n) {
    const count = this.count;
    for (let k = 0; k < n; ) {
      if (count.until <= 0) {
        if (!count.left) { this.count = null; return true; }
        this.clicks.strike(count.left === count.accents);
        count.left -= 1;
        count.until += count.period;
      }
      const size = Math.min(n - k, Math.max(1, Math.ceil(count.until)));
      this.addClicks(left, right, k, k + size, 1);
      count.until -= size;
      k += size;
    }
    return true;
  }

  clickAlong(left, right, n, before) {
    const step = (this.position - before) / n;
    for (let k = 0; this.clicks.level && k < n; k += 32) {
      const from = this.stream.songAt(before + k * step);
      const beat = this.beatFrom(from);
      if (beat && beat[0] < from + 32 * step) this.clicks.strike(beat[1]);
      this.addClicks(left, right, k, Math.min(n, k + 32), 0);
    }
  }

  addClicks(left, right, from, to, least) {
    const level = this.clicks.level;
    this.clicks.level = Math.max(level, least); // a count-in is heard although the click is off
    this.clicks.add(left, right, from, to);
    this.clicks.level = level;
  }

  // The first beat that is not before `song`.
  beatFrom(song) {
    let low = 0;
    let high = this.beats.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.beats[middle][0] < song) low = middle + 1; else high = middle;
    }
    return this.beats[low];
  }

  loudness(left, right, n) {
    for (let k = 0; k < n; k++) {
      this.volumeNow += (this.volume - this.volumeNow) * 0.004;
      left[k] *= this.volumeNow;
      right[k] *= this.volumeNow;
    }
  }

  tell() {
    this.sinceReport = 0;
    const position = this.songPosition() / RATE;
    this.report({ type: "state", position, serial: this.serial, missing: this.playing ? this.missing : -1 });
  }
}

function fadeOut(left, right) {
  const n = left.length;
  for (let k = 0; k < n; k++) {
    left[k] *= 1 - (k + 1) / n;
    right[k] *= 1 - (k + 1) / n;
  }
}
