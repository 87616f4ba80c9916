// The beats of the song: as the server found them, halved, doubled, shifted or tapped anew.
const BAR = 4;
const FEWEST_TAPS = 4;
const PAUSE_S = 2.5; // taps after a longer pause are a new attempt
const SAME_TEMPO = 0.12; // octaves
const MOST_BEATS = 20000;

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

export class Grid {
  constructor() {
    this.found = { bpm: 0, times_s: [], first_of_bar: 0 };
    this.duration = 0;
    this.taps = [];
    this.state = {};
  }

  use(found, duration) {
    this.found = found || { bpm: 0, times_s: [], first_of_bar: 0 };
    this.duration = duration;
    this.build();
  }

  // What differs from what was found: `factor` (of the tempo), `phase` and `shift` of the beats, `bar` (which beat is the
  // first of a bar), or `period` and `first` of beats that were tapped.
  get state() { return this.kept; }

  set state(state) {
    this.kept = { factor: 1, phase: 0, shift: 0, bar: 0, period: 0, first: 0, ...state };
    this.build();
  }

  change(state) { this.state = { ...this.kept, ...state }; }

  build() {
    const { factor, phase, shift, period, first } = this.kept;
    if (period) {
      const from = first - Math.floor(first / period) * period;
      const n = Math.min(MOST_BEATS, Math.max(0, Math.ceil((this.duration - from) / period)));
      this.times = Array.from({ length: n }, (_, k) => from + k * period);
    } else {
      const times = this.found.times_s;
      if (factor === 2) this.times = times.flatMap((time, k) => (k + 1 < times.length ? [time, (time + times[k + 1]) / 2] : [time]));
      else if (factor === 0.5) this.times = times.filter((_, k) => k % 2 === phase);
      else this.times = times;
      if (shift) this.times = this.times.map((time) => time + shift);
    }
  }

  get bpm() {
    if (this.kept.period) return 60 / this.kept.period;
    return this.found.bpm * this.kept.factor;
  }

  // [seconds, whether a bar begins] of each beat.
  get beats() {
    const one = this.kept.period ? this.kept.bar : this.kept.bar + Math.round(this.found.first_of_bar * this.kept.factor);
    return this.times.map((time, k) => [time, (((k - one) % BAR) + BAR) % BAR === 0]);
  }

  nearestIndex(seconds) {
    const { times } = this;
    let low = 0;
    let high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] < seconds) low = middle + 1; else high = middle;
    }
    return low > 0 && (low === times.length || seconds - times[low - 1] < times[low] - seconds) ? low - 1 : low;
  }

  snap(seconds) { return this.times.length ? this.times[this.nearestIndex(seconds)] : seconds; }

  // The beat `steps` beats on.
  beat(seconds, steps) {
    if (!this.times.length) return seconds + steps * 0.5;
    const nearest = this.nearestIndex(seconds);
    const on = Math.abs(this.times[nearest] - seconds) < 0.02;
    const at = on ? nearest + steps : nearest + (steps > 0 ? (this.times[nearest] > seconds ? 0 : 1) : this.times[nearest] < seconds ? 0 : -1);
    return this.times[Math.min(Math.max(0, at), this.times.length - 1)];
  }

  // Seconds per beat around a place.
  periodAt(seconds) {
    const k = this.nearestIndex(seconds);
    const near = this.times.slice(Math.max(0, k - 4), k + 5);
    if (near.length < 2) return 0.5;
    return median(near.slice(1).map((time, i) => time - near[i]));
  }

  // A tap at a place of the song, in its own time; true once the grid follows.
  tap(seconds) {
    const last = this.taps[this.taps.length - 1];
    if (last !== undefined && (seconds <= last || seconds - last > PAUSE_S)) this.taps = [];
    this.taps.push(seconds);
    if (this.taps.length < FEWEST_TAPS) return false;
    this.followTaps();
    return true;
  }

  // The first tap is the first of a bar.
  followTaps() {
    const { taps } = this;
    const n = taps.length;
    const middle = (n - 1) / 2;
    const mean = taps.reduce((a, b) => a + b) / n;
    const slope = taps.reduce((sum, time, k) => sum + (k - middle) * (time - mean), 0) / ((n * (n * n - 1)) / 12);
    this.fit(slope, mean - middle * slope);
  }

  fit(period, first) {
    this.change({ factor: 1, phase: 0, shift: 0, bar: 0, period: 0 });
    const factor = this.times.length ? this.periodAt(first) / period : 0;
    const near = [0.5, 1, 2].find((one) => factor && Math.abs(Math.log2(factor / one)) < SAME_TEMPO);
    if (!near) {
      this.change({ period, first });
    } else {
      this.change({ factor: near });
      let away = this.snap(first) - first;
      if (near === 0.5 && Math.abs(away) > period / 4) {
        this.change({ phase: 1 });
        away = this.snap(first) - first;
      }
      if (Math.abs(away) > period / 4) this.change({ shift: -away });
    }
    this.change({ bar: this.nearestIndex(first) - this.firstOfBar() });
  }

  // Index of the beat that begins a bar while `bar` is 0.
  firstOfBar() { return this.kept.period ? 0 : Math.round(this.found.first_of_bar * this.kept.factor); }
}
