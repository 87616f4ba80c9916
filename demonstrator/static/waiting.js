// Ask for the state every second; go on to the result when it is there.
"use strict";
(() => {
  const page = document.getElementById("waiting");
  if (!["queued", "running"].includes(page.dataset.state)) return;
  const bar = document.getElementById("bar");
  const stage = document.getElementById("stage");
  const left = document.getElementById("left");
  const cancel = document.getElementById("cancel");  // only who sent the song has it
  let cancelling = false;

  function clock(seconds) {
    const whole = Math.max(1, Math.ceil(seconds));
    return whole < 90 ? `${whole} s` : `${Math.ceil(whole / 60)} min`;
  }

  function set(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function showCancelling() {
    cancelling = true;
    set(stage, "Cancelling…");
    set(left, "");
    if (cancel) cancel.querySelector("button").disabled = true;
  }

  // The first seconds can be heard while the rest is separated.
  function offer(previews) {
    const section = document.getElementById("previews");
    if (!previews.length || !section.hidden) return;
    for (const { name, address } of previews) {
      const label = document.createElement("label");
      const audio = document.createElement("audio");
      Object.assign(audio, { controls: true, preload: "auto", src: address });
      label.append(name, audio);
      section.append(label);
      audio.addEventListener("play", () => {
        for (const other of section.querySelectorAll("audio")) if (other !== audio) other.pause();
      });
    }
    section.hidden = false;
  }

  function show(status) {
    if (!["queued", "running"].includes(status.state)) { location.reload(); return false; }
    if (cancelling || status.cancelling) { showCancelling(); return true; }  // what runs takes seconds to stop
    if (status.state === "queued") {
      bar.removeAttribute("value");
      set(stage, `Waiting: number ${status.position} in the queue.`);
    } else {
      offer(status.previews);
      bar.value = status.progress;
      const name = status.stage || "starting";
      set(stage, `${name[0].toUpperCase()}${name.slice(1)}… ${Math.round(100 * status.progress)} %`);
    }
    set(left, status.left_s === null ? "" : `About ${clock(status.left_s)} left.`);
    const done = status.state === "queued" ? "Waiting" : `${Math.round(100 * status.progress)} %`;
    document.title = `${done} – ${status.title}`;
    return true;
  }

  async function poll() {
    let again = true;
    try {
      const answer = await fetch(page.dataset.status, { headers: { Accept: "application/json" } });
      if (answer.status === 404) { location.reload(); return; }
      if (answer.ok) again = show(await answer.json());
    } catch {
      set(left, "The server does not answer; trying again.");
    }
    if (again) setTimeout(poll, 700);
  }
  if (cancel) cancel.addEventListener("submit", showCancelling);
  poll();
})();
