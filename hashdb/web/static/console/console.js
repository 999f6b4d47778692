// Additions for browsers with scripts. Every page works without them.
"use strict";

// On a small screen the menu opens and closes; on a large screen it is always visible.
for (const menu of document.querySelectorAll("[data-menu]")) {
  menu.addEventListener("toggle", () => document.body.classList.toggle("menu-open", menu.open));
}

// On a small screen, long forms start folded.
const small = matchMedia("(max-width: 61.99rem)");
const fold = () => document.querySelectorAll("[data-fold]").forEach((one) => { one.open = !small.matches; });
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
  if (navigator.clipboard) document.querySelectorAll("[data-copy][hidden]").forEach((one) => { one.hidden = false; });
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
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((one) => delete one.dataset.sent));
