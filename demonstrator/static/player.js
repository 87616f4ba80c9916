// The practice room: ties the controls of the page to the sound, and keeps how the room was left.
import { Grid } from "./grid.js";
import { Lanes, press } from "./lanes.js";
import { Marks } from "./marks.js";
import { drawRuler } from "./ruler.js";
import { Sound } from "./sound.js";
import { Timeline, clock, exactly } from "./timeline.js";

const SEEK_S = 5;
const KEEP_EVERY_MS = 1000;
const SWITCHES = ["click", "count-in", "snap"];
const root = document.getElementById("player");
const byId = (id) => document.getElementById(id);
let config = JSON.parse(root.dataset.config);
let view = null;
let keeping = 0;

const sound = new Sound(follow, fail);
const grid = new Grid();
const lanes = new Lanes(root, () => { mix(); draw(); }, () => (timeline.ready ? [timeline.loop.a, timeline.loop.b] : null));
const marks = new Marks(byId("marks"), goTo, () => { draw(); keep(); });
const timeline = new Timeline(root, {
  get position() { return sound.position; },
  get duration() { return sound.duration; },
  seek, moved,
  snap: (seconds) => (pressed("snap") ? grid.snap(seconds) : seconds),
  beat: (seconds, steps) => grid.beat(seconds, steps),
});

function fail(message) { // null: no longer
  byId("player-problem").hidden = !message;
  if (message) byId("player-problem").textContent = `${message} The downloads below work without the player.`;
}

// ---- sound

function mix() {
  if (!view) return;
  const levels = lanes.levels(config.stems.length);
  sound.set({ type: "levels", levels });
  document.dispatchEvent(new CustomEvent("mixlevels", { detail: levels.map((one) => Math.max(one.left, one.right)) }));
  sound.set({ type: "master", level: (byId("master").value / 100) ** 2 });
  keep();
}

function toggle() {
  if (sound.playing) { sound.pause(); return; }
  const period_s = grid.periodAt(sound.position) / (Number(byId("speed").value) / 100);
  sound.play(pressed("count-in") ? { n: 4, period_s } : null).catch((error) => fail(error.message));
}

function seek(seconds) {
  timeline.leaveAt(seconds);
  sound.seek(seconds);
  keep();
}

const semitones = () => Number(byId("key-text").value);

function tempo() {
  const speed = Number(byId("speed").value) / 100;
  const cents = Number(byId("cents").value);
  byId("speed-text").textContent = `${byId("speed").value} %`;
  byId("cents-text").textContent = `A4 ${(440 * 2 ** (cents / 1200)).toFixed(1)} Hz`;
  sound.set({ type: "tempo", speed, ratio: 2 ** ((100 * semitones() + cents) / 1200) });
  keep();
}

function setSpeed(percent) {
  byId("speed").value = Math.min(150, Math.max(25, percent));
  tempo();
}

function setKey(steps) {
  const most = Math.min(12, Math.max(-12, steps));
  byId("key-text").value = most > 0 ? `+${most}` : most;
  tempo();
}

// ---- beats, loops, marks

function beat() {
  byId("bpm").value = grid.bpm ? grid.bpm.toFixed(grid.bpm < 100 ? 1 : 0) : "–";
  sound.set({ type: "grid", beats: grid.beats });
  sound.set({ type: "click", level: pressed("click") ? 0.8 : 0 });
  draw();
  keep();
}

const pressed = (id) => byId(id).getAttribute("aria-pressed") === "true";

function flip(id) {
  press(byId(id), !pressed(id));
  beat();
}

function scale(factor) {
  const { period, factor: now } = grid.state;
  if (period) grid.change({ period: period / factor });
  else grid.change({ factor: Math.min(2, Math.max(0.5, now * factor)) });
  beat();
}

function tap() {
  if (sound.playing && grid.tap(sound.position)) beat();
}

function goTo(mark) {
  if (mark.b !== null) timeline.setLoop(mark.a, mark.b);
  seek(mark.a);
}

// ---- what is shown

function follow() {
  const now = sound.position;
  press(byId("play"), sound.playing);
  root.classList.toggle("waiting-for-sound", sound.playing && sound.waiting);
  byId("now").textContent = clock(now);
  if (document.activeElement !== byId("seek") || !byId("seek").matches(":active")) byId("seek").value = now;
  byId("seek").setAttribute("aria-valuetext", `${clock(now)} of ${clock(sound.duration)}`);
  timeline.follow();
  if (sound.playing && performance.now() - keeping > KEEP_EVERY_MS) keep();
}

// The loop or the part that is shown has changed.
function moved() {
  if (!view) return;
  const { a, b } = timeline.loop;
  sound.set({ type: "loop", loop: timeline.span });
  press(byId("loop"), Boolean(timeline.span));
  byId("loop-a").lastElementChild.textContent = a === null ? "–:––" : exactly(a);
  byId("loop-b").lastElementChild.textContent = b === null ? "–:––" : exactly(b);
  timeline.showLoop();
  draw();
  keep();
}

function draw() {
  if (!view) return;
  lanes.draw(view, timeline.shown);
  drawRuler(timeline.ruler.querySelector("canvas"), timeline.shown, grid.beats, marks.state);
  timeline.follow();
}

function showSpectra(on) {
  lanes.showSpectra(on);
  press(byId("view-wave"), !on);
  press(byId("view-spectrum"), on);
}

// B where the song plays goes back to A at once.
function setEdge(edge) {
  timeline.setEdge(edge, pressed("snap") ? grid.snap(sound.position) : sound.position);
  if (timeline.span && sound.position >= timeline.loop.b - 0.005) sound.seek(timeline.loop.a);
}

// ---- the room as it was left

function keep() {
  if (root.dataset.ready !== "true") return;
  keeping = performance.now();
  const all = { ...settings(), lanes: { ...kept().lanes, ...lanes.state } }; // those of the song's other pages too
  try { localStorage.setItem(`room:${config.song}`, JSON.stringify(all)); } catch { /* a full or forbidden store */ }
}

function settings() {
  return {
    position: sound.position, loop: timeline.loop, lanes: lanes.state, master: Number(byId("master").value),
    speed: Number(byId("speed").value), semitones: semitones(), cents: Number(byId("cents").value),
    grid: grid.state, marks: marks.state, ...Object.fromEntries(SWITCHES.map((id) => [id, pressed(id)])),
  };
}

function kept() {
  try { return JSON.parse(localStorage.getItem(`room:${config.song}`)) || {}; } catch { return {}; }
}

function restore(state) {
  byId("master").value = state.master ?? 90;
  byId("speed").value = state.speed ?? 100;
  byId("cents").value = state.cents ?? 0;
  setKey(state.semitones ?? 0);
  for (const id of SWITCHES) press(byId(id), Boolean(state[id]));
  grid.state = state.grid || {};
  marks.state = state.marks;
  lanes.state = state.lanes || {};
  Object.assign(timeline.loop, state.loop || {});
  if (state.position && state.position < sound.duration - 0.1) sound.seek(state.position);
  beat();
  moved();
}

// ---- wiring

byId("play").addEventListener("click", toggle);
byId("seek").addEventListener("input", (event) => seek(Number(event.target.value)));
byId("speed").addEventListener("input", tempo);
byId("cents").addEventListener("input", tempo);
byId("key-down").addEventListener("click", () => setKey(semitones() - 1));
byId("key-up").addEventListener("click", () => setKey(semitones() + 1));
byId("master").addEventListener("input", mix);
byId("loop-a").addEventListener("click", () => setEdge("a"));
byId("loop-b").addEventListener("click", () => setEdge("b"));
byId("loop").addEventListener("click", () => timeline.toggle());
byId("loop-clear").addEventListener("click", () => timeline.clear());
for (const id of SWITCHES) byId(id).addEventListener("click", () => flip(id));
byId("half").addEventListener("click", () => scale(0.5));
byId("double").addEventListener("click", () => scale(2));
byId("tap").addEventListener("pointerdown", tap);
byId("keep-loop").addEventListener("click", () => { if (timeline.ready) marks.add(timeline.loop.a, timeline.loop.b); });
byId("mark").addEventListener("click", () => marks.add(sound.position));
byId("view-wave").addEventListener("click", () => showSpectra(false));
byId("view-spectrum").addEventListener("click", () => showSpectra(true));
byId("zoom-in").addEventListener("click", () => timeline.setZoom(timeline.zoom * 2));
byId("zoom-out").addEventListener("click", () => timeline.setZoom(timeline.zoom / 2));
window.addEventListener("resize", draw);
window.addEventListener("pagehide", keep);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

const KEYS = {
  ArrowLeft: () => seek(sound.position - SEEK_S), ArrowRight: () => seek(sound.position + SEEK_S),
  Home: () => seek(timeline.span && sound.position > timeline.loop.a + 0.05 ? timeline.loop.a : 0),
  a: () => setEdge("a"), b: () => setEdge("b"), l: () => timeline.toggle(),
  "[": () => setSpeed(Number(byId("speed").value) - 5), "]": () => setSpeed(Number(byId("speed").value) + 5),
  "-": () => setKey(semitones() - 1), "+": () => setKey(semitones() + 1),
  t: tap, c: () => flip("click"), i: () => flip("count-in"), n: () => flip("snap"), k: () => marks.add(sound.position),
  s: () => lanes.solo(lanes.used || lanes.parts[0]), m: () => lanes.mute(lanes.used || lanes.parts[0]),
};

function digit(event) {
  const match = /^(?:Digit|Numpad)(\d)$/.exec(event.code) || /^(\d)$/.exec(event.key);
  if (!match) return null;
  if (match[1] === "0") return lanes.original && (() => lanes.solo(lanes.original));
  const lane = lanes.parts[Number(match[1]) - 1];
  return lane && (() => (event.shiftKey ? lanes.mute(lane) : lanes.soloOnly(lane)));
}

const TEXTS = "input:not([type=range], [type=radio], [type=checkbox]), textarea";
const SPACE_IS_THEIRS = `${TEXTS}, select, [type=checkbox]`;
const REPEATED = /^(Arrow.*|[-+[\]])$/;
// Space plays and pauses whatever has the focus, but for a text that is being written and what else needs it.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches(TEXTS)) return;
  if (event.target.matches(event.key === " " ? SPACE_IS_THEIRS : "select, dialog *")) return;
  if (event.target.matches("input[type=range]") && /^(Arrow|Home|End|Page)/.test(event.key)) return;
  const step = event.shiftKey && { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const act = event.key === " " ? toggle
    : step ? () => seek(grid.beat(sound.position, step))
    : digit(event) || KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  if (!event.repeat || REPEATED.test(event.key)) act();
});
document.addEventListener("keyup", (event) => { // Firefox presses a button that has the focus here
  if (event.key === " " && !event.target.matches(SPACE_IS_THEIRS)) event.preventDefault();
});

// Keys of headsets, keyboards and lock screens.
function takeMediaKeys() {
  const session = navigator.mediaSession;
  if (!session) return;
  session.metadata = new MediaMetadata({ title: document.querySelector("h1").textContent, artist: "Splitstrument" });
  const keys = {
    play: () => { if (!sound.playing) toggle(); }, pause: () => { if (sound.playing) toggle(); },
    seekbackward: KEYS.ArrowLeft, seekforward: KEYS.ArrowRight, previoustrack: KEYS.Home,
    seekto: ({ seekTime }) => seek(seekTime),
  };
  for (const [key, act] of Object.entries(keys)) session.setActionHandler(key, act);
}

async function load(next) {
  config = next;
  const answer = await fetch(config.view);
  const loaded = answer.ok ? await answer.json() : null;
  if (config !== next) return; // something else was asked for meanwhile
  if (!loaded) { fail(`The server does not give the song (${answer.status}).`); return; }
  const first = !view;
  view = loaded;
  lanes.use(config);
  sound.load(config.stems.map((stem) => stem.folder), view.duration_s);
  byId("seek").max = view.duration_s;
  byId("total").textContent = clock(view.duration_s);
  grid.use(view.beats, view.duration_s);
  if (first) restore(kept());
  beat();
  mix();
  draw();
  document.dispatchEvent(new CustomEvent("songview", { detail: view }));
  root.dataset.ready = "true";
}

window.Player = { seek, sound, lanes, timeline, grid, marks, load, settings, get loop() { return timeline.loop; } };
takeMediaKeys();
load(config);
