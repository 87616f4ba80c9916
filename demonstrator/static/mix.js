// The form of a mix follows what is heard in the practice room: faders, mutes and solos become decibels.
"use strict";
(() => {
  const LEAST_DB = -60;
  const MOST_DB = 12;
  const fields = [...document.querySelectorAll("#mix-form input[data-stem]")];

  document.addEventListener("mixlevels", (event) => {
    for (const field of fields) {
      const level = event.detail[field.dataset.stem];
      if (level === undefined) continue;
      const decibels = level > 0 ? 20 * Math.log10(level) : LEAST_DB;
      field.value = Math.min(MOST_DB, Math.max(LEAST_DB, Math.round(10 * decibels) / 10));
    }
  });

  // How the room is set besides levels; nothing where it is as usual, so that the song comes back as it is.
  function room() {
    const { settings, lanes, timeline, grid, sound } = window.Player;
    const set = settings();
    const stems = {};
    for (const field of lanes.hearsOriginal ? [] : fields) {
      const lane = lanes.parts.find((one) => one.about.stems.includes(Number(field.dataset.stem)));
      const kept = lane && set.lanes[lane.key];
      if (kept && (kept.pan || kept.quiet.length)) stems[field.name.slice(5)] = { pan: kept.pan / 100, quiet: kept.quiet };
    }
    const span = timeline.span;
    const speed = set.speed / 100;
    const practice = {
      start_s: span ? span[0] : 0, end_s: span ? span[1] : null, times: Number(document.getElementById("times").value) || 1,
      speed, semitones: set.semitones + set.cents / 100,
      count_in: set["count-in"] ? 4 : 0, beat_s: Math.min(8, Math.max(0.1, grid.periodAt(span ? span[0] : sound.position) / speed)),
    };
    const usual = !span && practice.times === 1 && speed === 1 && !practice.semitones && !practice.count_in;
    const wanted = document.getElementById("as-practised").checked && !usual;
    return { stems, practice: wanted ? practice : null };
  }

  document.getElementById("mix-form").addEventListener("submit", () => {
    document.getElementById("room-settings").value = JSON.stringify(room());
  });
})();
