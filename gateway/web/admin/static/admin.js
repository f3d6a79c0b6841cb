// Small comforts; every page works without them.
"use strict";

// What does nothing without a script is hidden until there is one.
function reveal(root) {
  for (const part of root.querySelectorAll("[data-scripted]")) part.hidden = false;
}

document.addEventListener("DOMContentLoaded", () => {
  for (const field of document.querySelectorAll("[data-zone]")) {
    field.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
  }
  reveal(document);
  for (const button of document.querySelectorAll("[data-print]")) {
    button.addEventListener("click", () => window.print());
  }
});

document.addEventListener("htmx:load", (event) => reveal(event.target));

document.addEventListener("change", (event) => {
  const all = event.target.closest("[data-select-all]");
  if (!all) return;
  const boxes = all.closest("form").querySelectorAll("input[name=id]");
  for (const box of boxes) box.checked = all.checked;
});
