// Marks that scripts run, before the page is drawn.
document.documentElement.classList.add("js");
// Ask before what cannot be taken back for long.
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !window.confirm(question)) event.preventDefault();
}, true);
