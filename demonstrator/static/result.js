// What only the result page has: the activity curve, the timeline, the strength slider, the link to copy.
"use strict";
(() => {
  const form = document.getElementById("strength-form");
  const slider = document.getElementById("strength");
  const text = document.getElementById("strength-text");
  const state = document.getElementById("strength-state");
  const FLOOR_DB = -70;
  const AUDIBLE_DB = -50;
  let wanted = 0;
  let view = null;

  function drawActivity() {
    for (const canvas of document.querySelectorAll("canvas.activity")) {
      const levels = view && view.activity[`${canvas.dataset.stem}_dbfs`];
      if (levels) drawLevels(canvas, levels);
    }
  }

  function drawLevels(canvas, levels) {
    const scale = window.devicePixelRatio || 1;
    const box = canvas.getBoundingClientRect();
    const style = getComputedStyle(document.documentElement);
    canvas.width = Math.round(box.width * scale);
    canvas.height = Math.round(box.height * scale);
    const pen = canvas.getContext("2d");
    const height = (db) => canvas.height * (1 - Math.max(0, (db - FLOOR_DB) / -FLOOR_DB));
    pen.fillStyle = style.getPropertyValue("--wave-a");
    for (let x = 0; x < canvas.width; x++) {
      const first = Math.floor((x / canvas.width) * levels.length);
      const last = Math.max(first + 1, Math.floor(((x + 1) / canvas.width) * levels.length));
      const top = height(Math.max(...levels.slice(first, last)));
      pen.fillRect(x, top, 1, canvas.height - top);
    }
    pen.fillStyle = style.getPropertyValue("--ink");
    pen.fillRect(0, height(AUDIBLE_DB), canvas.width, scale);
  }

  async function settle(id, mine) {
    for (;;) {
      const status = await (await fetch(`/songs/${id}/status`)).json();
      if (mine !== wanted) return false;
      if (status.state === "done") return true;
      if (!["queued", "running"].includes(status.state)) throw new Error(status.error || "It was stopped.");
      const share = Math.round(100 * status.progress);
      state.textContent = status.position ? `Waiting, number ${status.position}.` : `Working… ${share} %`;
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
  }

  // The page of a result as the server renders it; `show` takes its parts over, so that nothing is said twice.
  async function fetchPage(id) {
    const answer = await fetch(`/songs/${id}`);
    if (!answer.ok) throw new Error(`The result cannot be shown (${answer.status}): reload the page.`);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  function show(id, page) {
    for (const part of document.querySelectorAll("[data-part]")) {
      part.replaceWith(page.querySelector(`[data-part=${part.dataset.part}]`));
    }
    for (const lane of document.querySelectorAll(".lane")) {
      lane.querySelector("img").src = page.querySelector(`.lane[data-lane=${lane.dataset.lane}] img`).src;
    }
    for (const kept of document.querySelectorAll("form[data-action]")) {
      kept.action = `/songs/${id}/${kept.dataset.action}`;
    }
    history.replaceState(null, "", `/songs/${id}`);
    drawActivity();
    return window.Player.load(JSON.parse(page.getElementById("player").dataset.config));
  }

  async function apply() {
    const mine = ++wanted;
    state.textContent = "Working…";
    try {
      const body = new URLSearchParams(new FormData(form));
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
      const data = await answer.json();
      if (!answer.ok) throw new Error(data.error);
      if (!(await settle(data.id, mine))) return;
      const page = await fetchPage(data.id);
      if (mine !== wanted) return;
      await show(data.id, page);
      if (mine === wanted) state.textContent = "Done.";
    } catch (error) {
      if (mine === wanted) state.textContent = error.message;
    }
  }

  let timer = 0;
  slider.addEventListener("input", () => { text.textContent = `${slider.value} %`; });
  slider.addEventListener("change", () => { clearTimeout(timer); timer = setTimeout(apply, 200); });
  form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  document.addEventListener("songview", (event) => { view = event.detail; drawActivity(); });
  window.addEventListener("resize", drawActivity);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawActivity);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-seek]");
    const timeline = event.target.closest("[data-timeline]");
    if (button) window.Player.seek(Number(button.dataset.seek));
    if (!timeline || !view) return;
    const box = timeline.getBoundingClientRect();
    window.Player.seek(((event.clientX - box.left) / box.width) * view.duration_s);
  });
  document.addEventListener("click", async (event) => {  // not on the button, which comes anew with its part
    if (event.target.id !== "copy") return;
    const share = document.getElementById("share");
    share.select();
    try { await navigator.clipboard.writeText(share.value); event.target.textContent = "Copied"; }
    catch { document.execCommand("copy"); }
  });
})();
