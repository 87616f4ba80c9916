// Drop a song, see it go up. Without this script the form works as any form does.
"use strict";
(() => {
  const form = document.getElementById("ask");
  const file = document.getElementById("file");
  const drop = document.getElementById("drop");
  const problem = document.getElementById("problem");
  const sending = document.getElementById("sending");
  const limit = Number(form.dataset.limitMb) * 1e6;
  let button = null;

  function say(text) {
    problem.textContent = text;
    problem.hidden = !text;
  }

  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) {
    document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.remove("over"); });
  }
  document.addEventListener("drop", (event) => {
    if (event.dataTransfer.files.length) {
      const one = new DataTransfer();
      one.items.add(event.dataTransfer.files[0]);
      file.files = one.files;
      file.dispatchEvent(new Event("change"));
    }
  });
  file.addEventListener("change", () => {
    say(file.files[0] && file.files[0].size > limit ? `This file is larger than ${limit / 1e6} MB.` : "");
  });
  form.addEventListener("click", (event) => { if (event.target.type === "submit") button = event.target; });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const data = new FormData(form);
    const example = button && button.name === "example";
    const link = (data.get("link") || "").trim();
    if (example) { data.delete("file"); data.delete("link"); data.set("example", "1"); }
    else if (link) data.delete("file");
    else if (!file.files.length) { say("Choose a song first, or try the example."); file.focus(); return; }
    else if (file.files[0].size > limit) { say(`This file is larger than ${limit / 1e6} MB.`); return; }
    say("");
    send(data);
  });

  function lock(on) {
    sending.hidden = !on;
    for (const one of form.querySelectorAll("button")) one.disabled = on;
  }

  async function send(data) {
    lock(true);
    try {  // ask first: a server that is full should not take in a whole song to say so
      const health = await (await fetch("/health")).json();
      if (!health.accepting) throw new Error("full");
    } catch (error) {
      lock(false);
      say(error.message === "full" ? "The queue is full: try again in a minute." : "The server does not answer.");
      return;
    }
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.upload.onprogress = (event) => {
      const share = event.lengthComputable ? event.loaded / event.total : 0;
      document.getElementById("sent").value = share;
      document.getElementById("sent-text").textContent = `Sending ${Math.round(100 * share)} %`;
    };
    request.onload = () => {
      if (request.status < 400) { location.assign(request.responseURL); return; }
      lock(false);
      const page = new DOMParser().parseFromString(request.responseText, "text/html");
      const lead = page.querySelector(".lead");
      say(lead ? lead.textContent : `The server refused the song (${request.status}).`);
    };
    request.onerror = () => { lock(false); say("The connection was lost: try again."); };
    request.send(data);
  }
  window.addEventListener("pageshow", () => lock(false));
})();
