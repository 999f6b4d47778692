// Additions for browsers with scripts. Every page works without them.
"use strict";

// A choice that this browser stores; null if there is none. If it refuses local storage, a choice lasts for its page.
const stored = (name, value) => {
  try {
    if (value !== undefined) localStorage.setItem(name, value);
    return localStorage.getItem(name);
  } catch {
    return value ?? null;
  }
};

// On a small screen, long forms start folded.
const small = matchMedia("(max-width: 61.99rem)");
const fold = () => document.querySelectorAll("[data-fold]").forEach((part) => { part.open = !small.matches; });
small.addEventListener("change", fold);
fold();

// Move the focus to the errors of a form.
document.querySelector("[data-focus]")?.focus();

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.lastChild.textContent = "Copied";
});

const showCopyButtons = () => {
  if (navigator.clipboard) document.querySelectorAll("[data-copy][hidden]").forEach((button) => { button.hidden = false; });
};
showCopyButtons();
document.addEventListener("htmx:afterSwap", showCopyButtons);

// A second click does not send a form again.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));
