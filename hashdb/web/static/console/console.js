// What the pages do in addition where there are scripts; none of them needs it.
"use strict";

// The menu of small screens is open or not; on large ones it always stands there.
for (const menu of document.querySelectorAll("[data-menu]")) {
  menu.addEventListener("toggle", () => document.body.classList.toggle("menu-open", menu.open));
}

// What takes a small screen whole is folded there until it is asked for.
const small = matchMedia("(max-width: 61.99rem)");
const fold = () => document.querySelectorAll("[data-fold]").forEach((one) => { one.open = !small.matches; });
small.addEventListener("change", fold);
fold();

// What is wrong with a form is where reading goes on.
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

// A form that was sent is not sent twice by a second click.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((one) => delete one.dataset.sent));
