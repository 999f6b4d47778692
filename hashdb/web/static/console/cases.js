// Shortcuts to decide a case. The page shows each key beside its choice.
"use strict";

const form = document.querySelector("[data-decide]");
const writing = (target) => target.matches?.("input:not([type=radio]), textarea, select");

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && form) {
    event.preventDefault();
    form.requestSubmit();
    return;
  }
  if (document.documentElement.dataset.keys === "off" || document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey || event.altKey || writing(event.target)) return;
  const key = event.key.toLowerCase();
  const choice = form?.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (choice) {
    choice.checked = true;
    choice.focus();
  } else if (key === "n" && form) {
    event.preventDefault();
    form.querySelector("[name=note]").focus();
  } else if (key === "t") {
    document.querySelector("[data-take]")?.click();
  } else if (key === "j") {
    document.querySelector("a[rel=next]")?.click();
  } else if (key === "k") {
    document.querySelector("a[rel=prev]")?.click();
  }
});
