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
      file.files = event.dataTransfer.files;
      file.dispatchEvent(new Event("change"));
    }
  });
  file.addEventListener("change", () => {
    say(tooLarge());
  });
  file.multiple = true;  // without this script, one at a time

  function tooLarge() {
    const one = [...file.files].find((each) => each.size > limit);
    return one ? `“${one.name}” is larger than ${limit / 1e6} MB.` : "";
  }

  form.addEventListener("click", (event) => { if (event.target.type === "submit") button = event.target; });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const data = new FormData(form);
    const example = button && button.name === "example";
    const link = (data.get("link") || "").trim();
    if (example) { data.delete("file"); data.delete("link"); data.set("example", "1"); }
    else if (link) data.delete("file");
    else if (!file.files.length) { say("Choose a song first, or try the example."); file.focus(); return; }
    else if (tooLarge()) { say(tooLarge()); return; }
    say("");
    sendAll(data, example || link ? [null] : [...file.files]);
  });

  // Every file is a song of its own; one leads to its page, several to the list.
  async function sendAll(data, files) {
    lock(true);
    let sent = 0;
    try {
      let address = "";
      for (const one of files) {
        if (one) data.set("file", one);
        address = await send(data, files.length > 1 ? `${sent + 1} of ${files.length}: ` : "", one);
        sent += 1;
        if (files.length > 1) choose(files.slice(sent));
      }
      location.assign(files.length > 1 ? "/" : address);
    } catch (error) {
      lock(false);
      say(sent ? `${sent} of ${files.length} songs were sent. ${error.message}` : error.message);
    }
  }

  // What was sent is no longer chosen: the button sends the others.
  function choose(files) {
    const list = new DataTransfer();
    for (const one of files) list.items.add(one);
    file.files = list.files;
  }

  function lock(on) {
    sending.hidden = !on;
    for (const one of form.querySelectorAll("button")) one.disabled = on;
  }

  async function send(data, which, one) {
    const health = await fetch("/health").then((answer) => answer.json(), () => null);
    if (!health) throw new Error("The server does not answer: try again.");
    // asked first: a server that is full should not take in a whole song to say so
    if (!health.accepting) throw new Error("The queue is full: try again in a minute.");
    return new Promise((done, failed) => {
      const request = new XMLHttpRequest();
      request.open("POST", form.action);
      request.upload.onprogress = (event) => {
        const share = event.lengthComputable ? event.loaded / event.total : 0;
        document.getElementById("sent").value = share;
        document.getElementById("sent-text").textContent = `${which}Sending ${Math.round(100 * share)} %`;
      };
      request.onload = () => {
        if (request.status < 400) { done(request.responseURL); return; }
        const page = new DOMParser().parseFromString(request.responseText, "text/html");
        const lead = page.querySelector(".lead");
        const reason = lead ? lead.textContent : `The server refused the song (${request.status}).`;
        failed(new Error(which && one ? `“${one.name}”: ${reason}` : reason));
      };
      request.onerror = () => failed(new Error("The connection was lost: try again."));
      request.send(data);
    });
  }
  window.addEventListener("pageshow", () => lock(false));
})();
