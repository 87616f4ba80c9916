// Plays all sounds of a trial in step, so that switching changes the sound and not the place.
"use strict";
(() => {
  const form = document.getElementById("trial");
  const transport = document.getElementById("transport");
  const status = document.getElementById("status");
  const names = ["reference", ...form.dataset.letters.split(" ")];
  const started = Date.now();
  let context, gains = {}, sources = [], current = null, playing = false, buffers = null;

  const load = async () => {
    context = new AudioContext();
    const pairs = await Promise.all(names.map(async (name) => {
      const answer = await fetch(`${form.dataset.sounds}${name}.wav`);
      if (!answer.ok) throw new Error(await answer.text());
      return [name, await context.decodeAudioData(await answer.arrayBuffer())];
    }));
    buffers = Object.fromEntries(pairs);
    status.textContent = "Choose a sound; it repeats until you stop it.";
  };

  const play = async () => {
    await context.resume();
    const at = context.currentTime + 0.05;
    for (const name of names) {
      const source = new AudioBufferSourceNode(context, { buffer: buffers[name], loop: true });
      gains[name] = new GainNode(context, { gain: 0 });
      source.connect(gains[name]).connect(context.destination);
      source.start(at);
      sources.push(source);
    }
    playing = true;
  };

  const stop = () => {
    sources.forEach((source) => source.stop());
    sources = []; playing = false; current = null;
    mark();
  };

  const mark = () => transport.querySelectorAll("[data-sound]").forEach((button) =>
    button.setAttribute("aria-pressed", String(button.dataset.sound === current)));

  const choose = async (name) => {
    if (!buffers) return;
    if (!playing) await play();
    for (const other of names) gains[other].gain.setTargetAtTime(other === name ? 1 : 0, context.currentTime, 0.005);
    current = name;
    mark();
    status.textContent = `Playing ${name === "reference" ? "the reference" : name}.`;
  };

  transport.hidden = false;
  transport.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && button.dataset.sound) choose(button.dataset.sound);
    if (button && button.id === "stop") stop();
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input:not([type=range]), button") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " ") { event.preventDefault(); playing ? stop() : choose("reference"); }
    else if (/^[0-9]$/.test(event.key) && names[Number(event.key)]) { event.preventDefault(); choose(names[Number(event.key)]); }
  });
  const show = (slider) => {
    const output = form.querySelector(`output[for="${slider.id}"]`);
    if (output) output.textContent = slider.value;
  };
  form.addEventListener("input", (event) => show(event.target));
  // a page that the browser goes back to keeps its sliders
  addEventListener("pageshow", () => form.querySelectorAll("input[type=range]").forEach(show));
  form.addEventListener("submit", () => { form.elements.seconds.value = String(Math.round((Date.now() - started) / 1000)); });
  load().catch((error) => { status.textContent = `The sounds could not be loaded: ${error.message}`; });
})();
