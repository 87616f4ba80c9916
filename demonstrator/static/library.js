// Find and sort songs. Without this script the list is complete, newest first.
"use strict";
(() => {
  const list = document.getElementById("library");
  if (!list) return;
  const search = document.getElementById("search");
  const sort = document.getElementById("sort");
  const numbers = ["added", "bytes"];

  function find() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of list.children) {
      const text = `${item.dataset.title} ${item.dataset.artist}`;
      item.hidden = !words.every((word) => text.includes(word));
      shown += !item.hidden;
    }
    document.getElementById("none").hidden = shown > 0;
  }

  function order() {
    const key = sort.value;
    const compare = numbers.includes(key) ? (a, b) => b.dataset[key] - a.dataset[key]
      : (a, b) => a.dataset[key].localeCompare(b.dataset[key]);
    list.append(...[...list.children].sort(compare));
  }

  search.addEventListener("input", find);
  sort.addEventListener("change", order);
})();
