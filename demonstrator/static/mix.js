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
})();
