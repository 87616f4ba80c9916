// The practice room. One audio element plays one file whose channels are all stems, so that they cannot drift apart
// and slow down together; Web Audio takes the channels apart and mixes them.
"use strict";
window.Player = (() => {
  const root = document.getElementById("player");
  const byId = (id) => document.getElementById(id);
  const audio = new Audio();
  audio.preload = "auto";
  audio.preservesPitch = true;
  const SEEK_S = 5;
  const lanes = [];
  const loop = { a: null, b: null, on: false };
  let config = JSON.parse(root.dataset.config);
  let view = null;
  let context = null;
  let gains = [];
  let master = null;

  const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
  const duration = () => (Number.isFinite(audio.duration) && audio.duration) || (view ? view.duration_s : 0);
  const pick = (data, path) => path.split(".").reduce((part, key) => part[key], data);

  for (const element of root.querySelectorAll(".lane")) {
    const key = element.dataset.lane;
    lanes.push({
      key, element,
      solo: element.querySelector(".solo"), mute: element.querySelector(".mute"),
      volume: element.querySelector(".lane-volume input"),
      picture: element.querySelector(".picture"), canvas: element.querySelector("canvas"),
      image: element.querySelector("img"), head: element.querySelector(".head"), region: element.querySelector(".region"),
    });
  }

  // ---- sound
  function connect() {
    if (context) return;
    context = new AudioContext();
    const source = context.createMediaElementSource(audio);
    const width = view.play.n_channels;
    const splitter = context.createChannelSplitter(width * view.play.stems);
    master = context.createGain();
    source.connect(splitter);
    master.connect(context.destination);
    gains = [];
    for (let stem = 0; stem < view.play.stems; stem++) {
      const merger = context.createChannelMerger(2);
      for (let side = 0; side < 2; side++) splitter.connect(merger, stem * width + Math.min(side, width - 1), side);
      const gain = context.createGain();
      merger.connect(gain);
      gain.connect(master);
      gains.push(gain);
    }
    mix();
  }

  const pressed = (button) => button.getAttribute("aria-pressed") === "true";
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));

  function mix() {
    const soloed = lanes.some((lane) => pressed(lane.solo));
    const levels = new Array(view ? view.play.stems : 0).fill(0);
    for (const lane of lanes) {
      const heard = soloed ? pressed(lane.solo) : !pressed(lane.mute);
      lane.element.classList.toggle("quiet-lane", !heard);
      if (heard) for (const stem of config.lanes[lane.key].stems) levels[stem] += (lane.volume.value / 100) ** 2;
    }
    if (view) document.dispatchEvent(new CustomEvent("mixlevels", { detail: levels }));
    if (!context) return;
    gains.forEach((gain, stem) => gain.gain.setTargetAtTime(levels[stem], context.currentTime, 0.01));
    master.gain.setTargetAtTime((byId("master").value / 100) ** 2, context.currentTime, 0.01);
  }

  async function play() {
    if (!view) return;
    connect();
    await context.resume();
    if (audio.ended || audio.currentTime >= duration() - 0.02) audio.currentTime = loop.on && loop.a !== null ? loop.a : 0;
    try { await audio.play(); } catch (error) { if (error.name !== "AbortError") fail(); }
  }

  function fail() {
    byId("player-problem").textContent = "The browser cannot play this: use the downloads below.";
    byId("player-problem").hidden = false;
  }

  const toggle = () => (audio.paused ? play() : audio.pause());

  function seek(seconds) {
    audio.currentTime = Math.min(Math.max(0, seconds), Math.max(0, duration() - 0.01));
    follow();
  }

  // ---- loop
  function setLoop(end) {
    loop[end] = audio.currentTime;
    if (loop.a !== null && loop.b !== null) {
      if (loop.a > loop.b) [loop.a, loop.b] = [loop.b, loop.a];
      if (loop.b - loop.a < 0.1) loop.b = Math.min(duration(), loop.a + 0.1);
      loop.on = true;
    }
    showLoop();
  }

  function showLoop() {
    const ready = loop.a !== null && loop.b !== null;
    press(byId("loop"), loop.on && ready);
    byId("loop-a").textContent = loop.a === null ? "A" : `A ${clock(loop.a)}`;
    byId("loop-b").textContent = loop.b === null ? "B" : `B ${clock(loop.b)}`;
    for (const lane of lanes) {
      lane.region.hidden = !ready;
      if (ready) {
        lane.region.style.left = `${(100 * loop.a) / duration()}%`;
        lane.region.style.width = `${(100 * (loop.b - loop.a)) / duration()}%`;
      }
    }
  }

  function toggleLoop() {
    if (loop.a === null || loop.b === null) { loop.a = loop.a ?? 0; loop.b = loop.b ?? duration(); loop.on = true; }
    else loop.on = !loop.on;
    showLoop();
  }

  // ---- pictures
  function follow() {
    const now = audio.currentTime;
    const total = duration();
    if (loop.on && loop.b !== null && !audio.paused && now >= loop.b) audio.currentTime = loop.a;
    byId("now").textContent = clock(now);
    if (document.activeElement !== byId("seek") || !byId("seek").matches(":active")) byId("seek").value = now;
    byId("seek").setAttribute("aria-valuetext", `${clock(now)} of ${clock(total)}`);
    for (const lane of lanes) lane.head.style.left = total ? `${(100 * now) / total}%` : "0";
  }

  function frame() {
    if (!audio.paused) follow();
    requestAnimationFrame(frame);
  }

  function draw() {
    if (!view) return;
    const style = getComputedStyle(document.documentElement);
    const loudest = Math.max(1e-6, ...lanes.map((lane) => Math.max(...pick(view, config.lanes[lane.key].peaks))));
    for (const lane of lanes) {
      const peaks = pick(view, config.lanes[lane.key].peaks);
      paint(lane.canvas, peaks, loudest, style.getPropertyValue(config.lanes[lane.key].colour));
    }
  }

  function paint(canvas, peaks, loudest, colour) {
    const scale = window.devicePixelRatio || 1;
    const box = canvas.getBoundingClientRect();
    if (!box.width) return;
    canvas.width = Math.round(box.width * scale);
    canvas.height = Math.round(box.height * scale);
    const pen = canvas.getContext("2d");
    pen.fillStyle = colour;
    const step = 3 * scale;
    for (let x = 0; x < canvas.width; x += step) {
      const first = Math.floor((x / canvas.width) * peaks.length);
      const last = Math.max(first + 1, Math.floor(((x + step) / canvas.width) * peaks.length));
      const level = Math.max(...peaks.slice(first, last)) / loudest;
      const height = Math.max(scale, level * (canvas.height - 4 * scale));
      pen.fillRect(x, (canvas.height - height) / 2, step - scale, height);
    }
  }

  function showSpectra(on) {
    root.classList.toggle("showing-spectra", on);
    press(byId("view-wave"), !on);
    press(byId("view-spectrum"), on);
    for (const lane of lanes) if (lane.image) lane.image.hidden = !on;
  }

  // ---- wiring
  function setSpeed(percent) {
    const speed = Math.min(125, Math.max(25, percent));
    byId("speed").value = speed;
    byId("speed-text").textContent = `${speed} %`;
    audio.playbackRate = speed / 100;
    audio.defaultPlaybackRate = speed / 100;
  }

  byId("play").addEventListener("click", toggle);
  byId("seek").addEventListener("input", (event) => seek(Number(event.target.value)));
  byId("speed").addEventListener("input", (event) => setSpeed(Number(event.target.value)));
  byId("master").addEventListener("input", mix);
  byId("loop-a").addEventListener("click", () => setLoop("a"));
  byId("loop-b").addEventListener("click", () => setLoop("b"));
  byId("loop").addEventListener("click", toggleLoop);
  byId("loop-clear").addEventListener("click", () => { loop.a = loop.b = null; loop.on = false; showLoop(); });
  byId("view-wave").addEventListener("click", () => showSpectra(false));
  byId("view-spectrum").addEventListener("click", () => showSpectra(true));
  for (const lane of lanes) {
    lane.solo.addEventListener("click", () => { press(lane.solo, !pressed(lane.solo)); mix(); });
    lane.mute.addEventListener("click", () => { press(lane.mute, !pressed(lane.mute)); mix(); });
    lane.volume.addEventListener("input", mix);
    lane.picture.addEventListener("click", (event) => {
      const box = lane.picture.getBoundingClientRect();
      seek(((event.clientX - box.left) / box.width) * duration());
    });
  }

  function soloOnly(lane) {
    const only = !(pressed(lane.solo) && lanes.filter((one) => pressed(one.solo)).length === 1);
    for (const one of lanes) press(one.solo, one === lane && only);
    mix();
  }

  const KEYS = {
    " ": toggle, ArrowLeft: () => seek(audio.currentTime - SEEK_S), ArrowRight: () => seek(audio.currentTime + SEEK_S),
    Home: () => seek(0), a: () => setLoop("a"), b: () => setLoop("b"), l: toggleLoop,
    "[": () => setSpeed(Number(byId("speed").value) - 5), "]": () => setSpeed(Number(byId("speed").value) + 5),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    if (target.matches("input:not([type=range]), select, textarea, summary")) return;
    if (target.matches("input[type=range]") && /^(Arrow|Home|End|Page)/.test(event.key)) return;
    if (event.key === " " && target.matches("button, a")) return;
    const lane = lanes[Number(event.key) - 1];
    const act = lane ? () => soloOnly(lane) : KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (act) { event.preventDefault(); act(); }
  });
  audio.addEventListener("play", () => press(byId("play"), true));
  audio.addEventListener("pause", () => press(byId("play"), false));
  audio.addEventListener("timeupdate", follow);
  audio.addEventListener("ended", () => {
    if (loop.on && loop.a !== null) { audio.currentTime = loop.a; play(); }
  });
  audio.addEventListener("error", () => { if (audio.error && audio.src) fail(); });
  window.addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  async function load(next) {
    config = next;
    const answer = await fetch(config.view);
    const loaded = answer.ok ? await answer.json() : null;
    if (config !== next) return;  // something else was asked for meanwhile
    if (!loaded) { fail(); return; }
    const was = { time: audio.currentTime, playing: !audio.paused };
    view = loaded;
    audio.src = config.play;
    setSpeed(Number(byId("speed").value));
    byId("seek").max = view.duration_s;
    byId("total").textContent = clock(view.duration_s);
    if (was.time) audio.currentTime = was.time;
    if (was.playing) play();
    draw();
    mix();
    document.dispatchEvent(new CustomEvent("songview", { detail: view }));
    root.dataset.ready = "true";
  }

  for (const lane of lanes) {
    if (config.lanes[lane.key].muted) press(lane.mute, true);
    if (config.lanes[lane.key].solo) press(lane.solo, true);
  }
  load(config);
  requestAnimationFrame(frame);
  return { audio, lanes, load, loop, seek, state: () => ({ context, gains, master }) };
})();
