// The quality page: pictures, playing by spans, one key per mark. Works on the buttons and forms that the page has.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const audio = $("audio");
const peaks = Uint8Array.from(atob(data.peaks), (c) => c.charCodeAt(0));
const spectrum = Uint8Array.from(atob(data.spectrum), (c) => c.charCodeAt(0));
const REACH_S = 10; // how much a click into the picture plays

let queue = [];       // spans still to play, each [start, end, button or null]
let current = null;   // the span that plays
let whole = false;

// --- pictures -------------------------------------------------------------------------------------------------------

function fit(canvas) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  return canvas.getContext("2d");
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function shade(context, spans, fill, alpha) {
  const { width, height } = context.canvas;
  context.globalAlpha = alpha;
  context.fillStyle = fill;
  for (const [start, end] of spans) {
    context.fillRect((start / data.duration) * width, 0, Math.max(2, ((end - start) / data.duration) * width), height);
  }
  context.globalAlpha = 1;
}

function drawWave() {
  const context = fit($("wave"));
  const { width, height } = context.canvas;
  shade(context, data.splits, colour("--focus"), 0.16);
  shade(context, data.suspicious, colour("--wave-a"), 0.4);
  context.fillStyle = colour("--wave-b");
  for (let x = 0; x < width; x++) {
    const from = Math.floor((x / width) * peaks.length);
    const to = Math.max(from + 1, Math.floor(((x + 1) / width) * peaks.length));
    const peak = Math.max(...peaks.subarray(from, to)) / 255;
    const tall = Math.max(1, peak * height);
    context.fillRect(x, (height - tall) / 2, 1, tall);
  }
}

// black, violet, red, yellow, white: dark to bright in equal steps of lightness
const STOPS = [[0, 0, 4], [66, 10, 104], [165, 44, 96], [243, 120, 25], [252, 255, 164]];
const PALETTE = Array.from({ length: 256 }, (_, level) => {
  const place = (level / 255) * (STOPS.length - 1);
  const index = Math.min(STOPS.length - 2, Math.floor(place));
  return STOPS[index].map((low, i) => Math.round(low + (STOPS[index + 1][i] - low) * (place - index)));
});

function drawSpectrogram() {
  const columns = spectrum.length / data.bands;
  const image = new ImageData(columns, data.bands);
  for (let column = 0; column < columns; column++) {
    for (let band = 0; band < data.bands; band++) {
      const pixel = 4 * ((data.bands - 1 - band) * columns + column);
      image.data.set(PALETTE[spectrum[column * data.bands + band]], pixel);
      image.data[pixel + 3] = 255;
    }
  }
  const small = new OffscreenCanvas(columns, data.bands);
  small.getContext("2d").putImageData(image, 0, 0);
  const context = fit($("spectrogram"));
  context.drawImage(small, 0, 0, context.canvas.width, context.canvas.height);
  for (const label of document.querySelectorAll(".hz")) {
    const share = Math.log2(label.dataset.hz / 40) / Math.log2(16000 / 40);
    label.style.bottom = share * $("spectrogram").clientHeight + "px";
  }
}

function draw() {
  drawWave();
  drawSpectrogram();
}

// --- playing --------------------------------------------------------------------------------------------------------

function clock(seconds) {
  return Math.floor(seconds / 60) + ":" + String(Math.floor(seconds % 60)).padStart(2, "0");
}

function buttons(kind) {
  return [...document.querySelectorAll(`.span[data-kind=${kind}]`)];
}

function spansOf(kind) {
  return buttons(kind).map((button) => [...data[kind][button.dataset.index], button]);
}

function cue(spans) {
  queue = spans.slice();
  return load();
}

function load() {
  for (const button of document.querySelectorAll(".span.playing")) button.classList.remove("playing");
  current = queue.shift() || null;
  if (!current) return false;
  const query = new URLSearchParams({ start: current[0], end: current[1], whole: whole ? "1" : "0" });
  audio.src = data.id + "/sound?" + query;
  if (current[2]) current[2].classList.add("playing");
  showTime();
  return true;
}

async function play() {
  if (!current && !cue([...spansOf("suspicious"), ...spansOf("splits")])) {
    say("There is nothing to hear: the stem is silent.");
    return;
  }
  try {
    await audio.play();
    say("");
  } catch (error) {
    if (error.name === "NotAllowedError") say("Press space to hear it.");
    else if (error.name !== "AbortError") say("This part cannot be played: " + error.message);
  }
}

function start(spans) {
  if (cue(spans)) play();
}

function toggle() {
  if (audio.paused) play();
  else audio.pause();
}

function showTime() {
  const seconds = current ? current[0] + audio.currentTime : 0;
  $("head").style.left = (100 * seconds) / data.duration + "%";
  $("time").textContent = clock(seconds) + " / " + clock(data.duration);
}

function showPlaying() {
  const playing = !audio.paused && !audio.ended;
  $("play").setAttribute("aria-pressed", playing);
  $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
}

function follow() {
  showTime();
  if (!audio.paused) requestAnimationFrame(follow);
}

function toggleWhole() {
  whole = !whole;
  $("whole").setAttribute("aria-pressed", whole);
  if (current) {
    const playing = !audio.paused;
    queue.unshift(current);
    load();
    if (playing) play();
  }
}

function say(text) {
  $("status").textContent = text;
}

// --- marks ----------------------------------------------------------------------------------------------------------

async function send(form, set) {
  const body = new URLSearchParams(new FormData(form));
  body.set("set", set ? "1" : "0");
  const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

function show(marks) {
  for (const button of document.querySelectorAll(".mark-button")) {
    const on = marks.includes(button.dataset.mark);
    button.setAttribute("aria-pressed", on);
    button.form.elements.set.value = on ? "0" : "1";
  }
}

async function mark(button) {
  try {
    const answer = await send(button.form, button.getAttribute("aria-pressed") !== "true");
    show(answer.marks);
    say("Saved: " + (answer.marks.join(", ").replaceAll("_", " ") || "no marks"));
  } catch (error) {
    say("Not saved: " + error.message);
  }
}

async function accept() {
  const button = $("accept");
  try {
    const on = button.getAttribute("aria-pressed") !== "true";
    const answer = await send(button.form, on);
    location.href = on ? answer.next || "./" : location.pathname;
  } catch (error) {
    say("Not saved: " + error.message);
  }
}

// --- wiring ---------------------------------------------------------------------------------------------------------

function go(id) {
  if ($(id)) location.href = $(id).href;
}

const KEYS = {
  " ": toggle,
  s: () => start(spansOf(data.suspicious.length ? "suspicious" : "splits")),
  w: toggleWhole,
  a: accept,
  n: () => go("next"),
  p: () => go("previous"),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const onControl = event.target.closest("button, a, summary, input");
  if (event.key === " " && onControl) return; // space presses what has the focus
  const split = spansOf("splits")[Number(event.key) - 1];
  const markButton = document.querySelector(`.mark-button[data-key="${CSS.escape(event.key)}"]`);
  if (split && /^[1-9]$/.test(event.key)) start([split]);
  else if (markButton) mark(markButton);
  else if (KEYS[event.key]) KEYS[event.key]();
  else return;
  event.preventDefault();
});

for (const button of document.querySelectorAll(".span")) {
  button.addEventListener("click", () => start([[...data[button.dataset.kind][button.dataset.index], button]]));
}
for (const button of document.querySelectorAll(".mark-button")) {
  button.form.addEventListener("submit", (event) => {
    event.preventDefault();
    mark(button);
  });
}
$("accept").form.addEventListener("submit", (event) => {
  event.preventDefault();
  accept();
});
$("play").addEventListener("click", toggle);
$("whole").addEventListener("click", toggleWhole);
$("pictures").addEventListener("click", (event) => {
  const box = $("pictures").getBoundingClientRect();
  const from = Math.max(0, Math.min(data.duration - 0.5, ((event.clientX - box.left) / box.width) * data.duration));
  start([[from, Math.min(data.duration, from + REACH_S), null]]);
});
audio.addEventListener("ended", () => {
  if (load()) play();
  else showPlaying();
});
audio.addEventListener("play", () => { showPlaying(); follow(); });
audio.addEventListener("pause", showPlaying);
audio.addEventListener("timeupdate", showTime);
$("auto").checked = localStorage.getItem("quality-auto") !== "0";
$("auto").addEventListener("change", () => localStorage.setItem("quality-auto", $("auto").checked ? "1" : "0"));
window.addEventListener("resize", draw);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

draw();
if (cue([...spansOf("suspicious"), ...spansOf("splits")]) && $("auto").checked) play();
// the server reads the next stem while this one is heard
if ($("next")) fetch($("next").href).catch(() => {});
