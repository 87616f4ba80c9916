// What feeds the engine: fetches the segments around the place that plays, has the browser decode them, hands them to
// the audio thread, and forgets them there when they are behind. Memory does not grow with the song.
import { Engine } from "./engine.js";
import { BLEND, RATE, SEGMENT } from "./mixer.js";

const MARGIN = 4800; // samples before and after a segment, as the server cuts them
const AHEAD = 2; // segments that are fetched before they are needed
const SEGMENT_S = SEGMENT / RATE;
const LATE_S = 0.1; // how far the sound may be ahead of the position that was told
const RETRY_MS = 500;
const MOST_TRIES = 10; // of the segment that playing waits for
const FORMS = { ogg: "audio/ogg; codecs=opus", flac: "audio/flac" };
const JUMPS = new Set(["stems", "seek", "play", "pause", "tempo"]);
const NEAR = ["localhost", "127.0.0.1", "[::1]"];

// Compressed over a network, as it is on one's own machine and where the browser knows no Opus.
function usualForm() {
  const knows = new Audio().canPlayType(FORMS.ogg);
  return knows && !NEAR.includes(location.hostname) ? "ogg" : "flac";
}

export class Sound {
  // `changed(sound)` is called when the position or the state has moved, `failed(message)` when nothing can be heard,
  // and `failed(null)` when it can again.
  constructor(changed, failed) {
    this.changed = changed;
    this.failed = failed;
    this.form = new URLSearchParams(location.search).get("sound") || usualForm();
    this.stems = [];
    this.position = this.duration = 0;
    this.playing = this.waiting = false;
    this.held = new Map(); // index -> a promise of its stems
    this.tries = new Map(); // index -> how often it failed in a row
    this.missing = -1; // the segment that playing waits for
    this.settings = new Map(); // the last message of each kind, for an engine that starts later
    this.round = this.serial = 0;
    this.loop = null;
  }

  // ---- what is played

  // `stems` are addresses of folders of segments.
  load(stems, duration_s) {
    this.stems = stems;
    this.duration = duration_s;
    this.forget();
    this.send({ type: "stems", n_stems: stems.length, duration_s });
    this.resend(["levels"]);
    if (this.playing) this.send({ type: "play" });
    this.fetchAround();
  }

  forget() {
    this.round += 1;
    this.held.clear();
    this.tries.clear();
  }

  // ---- commands

  async play(count) {
    if (!this.stems.length) return;
    await this.open();
    if (this.position >= this.duration - 0.02) this.seek(this.loop ? this.loop[0] : 0);
    this.playing = true;
    if (this.audio) await this.audio.play();
    this.send({ type: "play", count });
    this.fetchAround();
    this.changed(this);
  }

  pause() {
    this.send({ type: "pause" });
    this.rest();
    this.changed(this);
  }

  // A context that runs in silence costs a phone's battery.
  rest() {
    this.playing = this.waiting = false;
    this.missing = -1;
    if (this.audio) this.audio.pause();
    setTimeout(() => { if (!this.playing && this.context) this.context.suspend(); }, 500);
  }

  seek(seconds) {
    this.position = Math.min(Math.max(0, seconds), this.duration);
    this.moved = true;
    this.send({ type: "seek", position: this.position });
    this.fetchAround();
    this.changed(this);
  }

  // Settings are kept, so that they hold for an engine that starts later.
  set(message) {
    this.settings.set(message.type, message);
    if (message.type === "loop") this.setLoop(message);
    else this.send(message);
  }

  // An end that is moved to before the place that plays takes it back to the beginning.
  setLoop(message) {
    const [old, loop] = [this.loop, message.loop];
    this.loop = loop;
    this.fetchAround();
    this.send(message);
    const was_inside = old && this.position >= old[0] && this.position < old[1];
    if (loop && was_inside && loop[1] < old[1] && this.position >= loop[1] - LATE_S) this.seek(loop[0]);
  }

  resend(kinds) {
    for (const kind of kinds) if (this.settings.has(kind)) this.send(this.settings.get(kind));
  }

  // ---- the engine

  async open() {
    if (!this.context) {
      this.context = new AudioContext({ sampleRate: RATE });
      this.opened = this.start();
    }
    await this.opened;
    await this.context.resume();
  }

  async start() {
    const { context } = this;
    if (context.audioWorklet) {
      await context.audioWorklet.addModule("/static/engine-worklet.js");
      this.node = new AudioWorkletNode(context, "practice", { numberOfInputs: 0, outputChannelCount: [2] });
      this.node.port.onmessage = (event) => this.hear(event.data);
      this.post = (message, transfer = []) => this.node.port.postMessage(message, transfer);
    } else { // pages that come neither from this machine nor over HTTPS have no worklets
      const engine = new Engine((event) => this.hear(event));
      this.node = context.createScriptProcessor(2048, 0, 2);
      this.node.onaudioprocess = ({ outputBuffer }) =>
        engine.process(outputBuffer.getChannelData(0), outputBuffer.getChannelData(1));
      this.post = (message) => engine.take(message);
    }
    this.node.connect(this.output());
    this.send({ type: "stems", n_stems: this.stems.length, duration_s: this.duration });
    this.resend([...this.settings.keys()]);
    this.send({ type: "seek", position: this.position });
    for (const index of this.held.keys()) this.deliver(index);
  }

  // Phones show the keys of their lock screen, and go on with the screen off, for what an audio element plays.
  output() {
    if (!matchMedia("(pointer: coarse)").matches) return this.context.destination;
    const stream = this.context.createMediaStreamDestination();
    this.audio = new Audio();
    this.audio.srcObject = stream.stream;
    return stream;
  }

  // Jumps are numbered, so that reports from before them are told from those after.
  send(message) {
    if (JUMPS.has(message.type)) message.serial = ++this.serial;
    if (this.post) this.post(message);
  }

  hear(event) {
    const late = event.serial !== this.serial;
    if (event.type === "ended") {
      if (late && this.playing) this.send({ type: "play" });
      if (late) return;
      this.position = this.duration;
      this.rest();
      this.changed(this);
      return;
    }
    if (late) return;
    this.position = Math.min(event.position, this.duration); // the engine counts whole samples
    this.missing = event.missing;
    this.waiting = this.missing >= 0;
    if (this.playing) this.fetchAround(event.missing);
    this.changed(this);
  }

  // ---- segments

  wanted() {
    const last = Math.max(0, Math.ceil(this.duration / SEGMENT_S) - 1);
    const index = (seconds) => Math.min(last, Math.floor(seconds / SEGMENT_S));
    const here = index(this.position);
    const wanted = new Set();
    const [from, to] = this.loop || [0, Infinity];
    for (let next = here; next <= Math.min(here + AHEAD, last); next++) {
      if (this.position < to && next * SEGMENT_S >= to) break;
      wanted.add(next);
    }
    if (this.loop && this.position < to && here + AHEAD >= index(to)) {
      wanted.add(index(Math.max(0, from - 0.01)));
      wanted.add(index(from));
      wanted.add(Math.min(last, index(from) + 1));
    }
    if (here > 0) wanted.add(here - 1); // for steps back, and for the blend
    return wanted;
  }

  fetchAround(missing = -1) {
    if (!this.stems.length) return;
    const wanted = this.wanted();
    if (missing >= 0) wanted.add(missing);
    const gone = [...this.held.keys()].filter((index) => !wanted.has(index));
    for (const index of gone) this.held.delete(index);
    if (gone.length) this.send({ type: "keep", indexes: [...wanted] });
    for (const index of wanted) {
      if (this.held.has(index)) continue;
      const promise = this.fetchSegment(index);
      promise.catch(() => {}); // told by `deliver`
      this.held.set(index, promise);
      if (this.post) this.deliver(index);
      else if (index >= this.position / SEGMENT_S) break; // before the first play, only what is heard first
    }
  }

  async fetchSegment(index) {
    const round = this.round;
    const stems = await Promise.all(this.stems.map((folder) => this.fetchStem(`${folder}/${index}.${this.form}`)));
    return round === this.round ? stems : null;
  }

  async fetchStem(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`The server does not give the sound (${answer.status}): reload the page.`);
    const bytes = await answer.arrayBuffer();
    const buffer = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(bytes);
    const part = (channel) => buffer.getChannelData(channel).slice(MARGIN, MARGIN + SEGMENT + BLEND);
    const left = part(0);
    return [left, buffer.numberOfChannels > 1 ? part(1) : left];
  }

  async deliver(index) {
    const promise = this.held.get(index);
    try {
      const stems = await promise;
      if (stems && this.held.get(index) === promise) {
        this.post({ type: "segment", index, stems }, [...new Set(stems.flat().map((side) => side.buffer))]);
        this.heardAgain();
      }
    } catch (error) {
      if (this.held.get(index) !== promise) return;
      this.again(index, promise, error);
    }
  }

  heardAgain() {
    this.tries.clear();
    if (this.broken) this.failed(null);
    this.broken = false;
  }

  // A browser that says that it knows Opus and does not gets FLAC; a lost connection is tried again after a pause, by
  // the next report.
  again(index, promise, error) {
    if (error.name === "EncodingError" && this.form === "ogg") {
      this.form = "flac";
      this.forget();
      this.fetchAround();
      return;
    }
    setTimeout(() => { if (this.held.get(index) === promise) this.held.delete(index); }, RETRY_MS);
    this.tries.set(index, (this.tries.get(index) || 0) + 1);
    if (index !== this.missing || this.tries.get(index) < MOST_TRIES) return;
    this.tries.clear();
    this.broken = true;
    this.pause();
    this.failed(error.message);
  }
}
