// Slow down and transpose: a phase vocoder changes the tempo, a resampler behind it the pitch. Plain arithmetic, no Web
// Audio, so that it runs in an audio worklet, in a page and in a test.
//
// The vocoder follows Puckette (1995, "Phase-locked vocoder"): every frame is turned so that it continues the output of
// the frame before. How far a frame's phases have moved is measured against a second frame of the input, one output hop
// earlier, so that no phase is unwrapped and any tempo is exact. All bins around a spectral peak turn alike (Laroche and
// Dolson 1999), and so do both channels, which keeps the stereo picture. Where the energy jumps, phases start afresh.

export const FRAME = 4096;
export const HOP = FRAME / 4;
const LOBE = 2; // bins on either side that a peak must exceed
const ATTACK = 3; // a frame with this many times the energy of the one before is an attack
const ZEROS = 16; // of the resampler's kernel on either side
const FINE = 256; // steps of its table per zero

class Fft {
  constructor(size) {
    this.size = size;
    this.cos = Float64Array.from({ length: size / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / size));
    this.sin = Float64Array.from({ length: size / 2 }, (_, k) => Math.sin((2 * Math.PI * k) / size));
    const bits = Math.log2(size);
    this.swap = Uint32Array.from({ length: size }, (_, k) => {
      let turned = 0;
      for (let bit = 0; bit < bits; bit++) if (k & (1 << bit)) turned |= 1 << (bits - 1 - bit);
      return turned;
    });
  }

  // In place; `sign` is -1 forwards and 1 backwards (not scaled).
  run(re, im, sign) {
    const { size, cos, sin, swap } = this;
    for (let k = 0; k < size; k++) {
      const other = swap[k];
      if (other > k) {
        let kept = re[k]; re[k] = re[other]; re[other] = kept;
        kept = im[k]; im[k] = im[other]; im[other] = kept;
      }
    }
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let j = 0; j < half; j++) {
        const c = cos[j * stride];
        const s = sign * sin[j * stride];
        for (let a = j; a < size; a += 2 * half) {
          const b = a + half;
          const x = re[b] * c - im[b] * s;
          const y = re[b] * s + im[b] * c;
          re[b] = re[a] - x; im[b] = im[a] - y;
          re[a] += x; im[a] += y;
        }
      }
    }
  }
}

// Both channels travel as one complex signal, left + i right: the turns act on either alike.
export class Vocoder {
  // `read(position, left, right)` fills FRAME samples of the input from a whole position on.
  constructor(read) {
    this.read = read;
    this.fft = new Fft(FRAME);
    this.window = Float64Array.from({ length: FRAME }, (_, k) => 0.5 - 0.5 * Math.cos((2 * Math.PI * k) / FRAME));
    for (const name of ["re", "im", "pastRe", "pastIm", "outRe", "outIm", "sumLeft", "sumRight", "left", "right"]) {
      this[name] = new Float64Array(FRAME);
    }
    this.power = new Float64Array(FRAME / 2 + 1);
    this.peaks = new Int32Array(FRAME / 2);
    this.started = false;
  }

  reset() {
    this.sumLeft.fill(0);
    this.sumRight.fill(0);
    this.started = false;
  }

  analyse(position, re, im) {
    this.read(position, this.left, this.right);
    let energy = 0;
    for (let k = 0; k < FRAME; k++) {
      re[k] = this.left[k] * this.window[k];
      im[k] = this.right[k] * this.window[k];
      energy += re[k] * re[k] + im[k] * im[k];
    }
    this.fft.run(re, im, -1);
    return energy;
  }

  // Return the number of peaks; their bins are in `peaks`.
  findPeaks() {
    const { re, im, power, peaks } = this;
    const half = FRAME / 2;
    for (let k = 0; k <= half; k++) {
      const m = (FRAME - k) % FRAME;
      power[k] = re[k] * re[k] + im[k] * im[k] + re[m] * re[m] + im[m] * im[m];
    }
    let found = 0;
    for (let k = LOBE; k <= half - LOBE; k++) {
      const p = power[k];
      if (p > power[k - 1] && p >= power[k + 1] && p > power[k - 2] && p >= power[k + 2]) peaks[found++] = k;
    }
    return found;
  }

  // Turn all bins from `first` to below `last` as the peak at `k` must turn to continue the last output.
  turn(k, first, last) {
    const { re, im, pastRe, pastIm, outRe, outIm } = this;
    const m = FRAME - k;
    let x = outRe[k] * pastRe[k] + outIm[k] * pastIm[k] + outRe[m] * pastRe[m] + outIm[m] * pastIm[m];
    let y = outIm[k] * pastRe[k] - outRe[k] * pastIm[k] - outIm[m] * pastRe[m] + outRe[m] * pastIm[m];
    const size = Math.hypot(x, y);
    if (size < 1e-20) return;
    x /= size; y /= size;
    for (let b = first; b < last; b++) {
      const r = re[b], i = im[b];
      re[b] = r * x - i * y; im[b] = r * y + i * x;
      const o = (FRAME - b) % FRAME;
      if (o === b) continue;
      const s = re[o], t = im[o];
      re[o] = s * x + t * y; im[o] = t * x - s * y;
    }
  }

  // Add the frame at `position`; the next HOP samples of the output go into `left` and `right` at `at`.
  frame(position, left, right, at) {
    const { re, im, power, peaks, sumLeft, sumRight, outRe, outIm } = this;
    const before = this.started ? this.analyse(position - HOP, this.pastRe, this.pastIm) : 0;
    const energy = this.analyse(position, re, im);
    if (this.started && energy < ATTACK * before) {
      const found = this.findPeaks();
      let first = 1;
      for (let one = 0; one < found; one++) {
        let last = FRAME / 2;
        if (one + 1 < found) {
          last = peaks[one] + 1;
          for (let k = last; k < peaks[one + 1]; k++) if (power[k] < power[last]) last = k;
        }
        this.turn(peaks[one], first, last);
        first = last;
      }
    }
    this.started = true;
    outRe.set(re);
    outIm.set(im);
    this.fft.run(re, im, 1);
    const scale = 1 / (1.5 * FRAME); // the squared windows of four frames add up to 1.5
    for (let k = 0; k < FRAME; k++) {
      const weight = this.window[k] * scale;
      sumLeft[k] += re[k] * weight;
      sumRight[k] += im[k] * weight;
    }
    for (let k = 0; k < HOP; k++) { left[at + k] = sumLeft[k]; right[at + k] = sumRight[k]; }
    sumLeft.copyWithin(0, HOP); sumLeft.fill(0, FRAME - HOP);
    sumRight.copyWithin(0, HOP); sumRight.fill(0, FRAME - HOP);
  }
}

// The integral of the kernel is 1; x counts zeros.
const KERNEL = Float64Array.from({ length: ZEROS * FINE + 2 }, (_, k) => {
  const x = k / FINE;
  if (x >= ZEROS) return 0;
  const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
  return sinc * (0.42 + 0.5 * Math.cos((Math.PI * x) / ZEROS) + 0.08 * Math.cos((2 * Math.PI * x) / ZEROS));
});

// From input samples at any speed and pitch to output samples.
export class Stretcher {
  constructor(read) {
    this.vocoder = new Vocoder(read);
    this.left = new Float64Array(4 * FRAME);
    this.right = new Float64Array(4 * FRAME);
    this.speed = this.ratio = 1;
    this.reset(0);
  }

  // Begin at input sample `position`; frames before it are taken in, so that the first sample has its full level.
  reset(position) {
    this.vocoder.reset();
    this.filled = 0;
    this.next = position - 3 * this.advance - this.shift; // input position of the next frame
    for (let one = 0; one < 3; one++) this.addFrame();
    this.filled = this.lead; // silence under the kernel's first half
    this.left.fill(0, 0, this.filled);
    this.right.fill(0, 0, this.filled);
    this.reading = this.lead; // where the next output sample lies among the waiting ones
  }

  // Input samples per frame.
  get advance() { return (HOP * this.speed) / this.ratio; }

  // A frame stands for its middle, which the output plays half a frame after the frame's start whatever the tempo.
  get shift() { return (1 - this.advance / HOP) * (FRAME / 2); }

  // Samples that the kernel needs on either side.
  get lead() { return Math.ceil(ZEROS * Math.max(1, this.ratio)) + 1; }

  // Input position of the next output sample.
  get position() { return this.next + this.shift - ((this.filled - this.reading) * this.speed) / this.ratio; }

  // The input up to here must be readable before the next `n` output samples are asked for.
  needed(n) {
    const frames = Math.ceil((this.reading + n * this.ratio + this.lead - this.filled) / HOP);
    return frames > 0 ? Math.round(this.next + (frames - 1) * this.advance) + FRAME : -Infinity;
  }

  addFrame() {
    this.vocoder.frame(Math.round(this.next), this.left, this.right, this.filled);
    this.filled += HOP;
    this.next += this.advance;
  }

  process(outLeft, outRight, n) {
    while (this.filled < this.reading + n * this.ratio + this.lead) this.addFrame();
    if (this.ratio === 1) this.copy(outLeft, outRight, n);
    else this.resample(outLeft, outRight, n);
    const done = Math.floor(this.reading) - this.lead;
    if (done > FRAME) {
      this.left.copyWithin(0, done, this.filled);
      this.right.copyWithin(0, done, this.filled);
      this.filled -= done;
      this.reading -= done;
    }
  }

  copy(outLeft, outRight, n) {
    const first = Math.round(this.reading);
    for (let k = 0; k < n; k++) { outLeft[k] = this.left[first + k]; outRight[k] = this.right[first + k]; }
    this.reading += n;
  }

  resample(outLeft, outRight, n) {
    const { left, right, ratio } = this;
    const narrow = Math.min(1, 0.96 / ratio); // below the output's Nyquist frequency
    const reach = ZEROS / narrow;
    for (let k = 0; k < n; k++) {
      const centre = this.reading;
      const last = Math.floor(centre + reach);
      let l = 0;
      let r = 0;
      for (let j = Math.ceil(centre - reach); j <= last; j++) {
        const x = Math.abs(j - centre) * narrow * FINE;
        const step = x | 0;
        const weight = KERNEL[step] + (x - step) * (KERNEL[step + 1] - KERNEL[step]);
        l += left[j] * weight;
        r += right[j] * weight;
      }
      outLeft[k] = l * narrow;
      outRight[k] = r * narrow;
      this.reading += ratio;
    }
  }

  set(speed, ratio) {
    this.speed = speed;
    this.ratio = ratio;
  }
}
