// Keyboard shortcuts. `?` opens a dialog that lists them and can turn them off.
"use strict";

const root = document.documentElement;
const help = document.querySelector(".keys-help");
const writes = (target) => target.matches?.("input:not([type=radio], [type=checkbox], [type=range]), textarea, select");
if (stored("hashdb-keys") === "off") root.dataset.keys = "off";

for (const button of document.querySelectorAll("[data-keys]")) {
  button.hidden = false;
  button.addEventListener("click", () => help.showModal());
}
const box = document.querySelector("[data-keys-on]");
if (box) {
  box.checked = root.dataset.keys !== "off";
  box.addEventListener("change", () => {
    root.dataset.keys = box.checked ? "on" : "off";
    stored("hashdb-keys", root.dataset.keys);
  });
}

const move = (by) => {
  const links = [...document.querySelectorAll("[data-rows] tbody tr")].map((row) => row.querySelector("a")).filter(Boolean);
  if (!links.length) return false;
  const here = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
  const there = here < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, here + by));
  links[there].focus();
  links[there].closest("tr").scrollIntoView({ block: "nearest" });
  return true;
};

const goFind = () => {
  const box = document.querySelector("[data-find] textarea");
  box?.focus();
  box?.select();
  return Boolean(box);
};

const turn = (rel) => {
  const link = document.querySelector("[data-rows]") && document.querySelector(`main a[rel=${rel}]`);
  link?.click();
  return Boolean(link);
};

// As a click, so that pick.js selects a range with Shift.
const select = (event) => {
  const box = document.activeElement?.closest("[data-rows] tbody tr")?.querySelector("[name=id]:not(:disabled)");
  box?.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey: event.shiftKey }));
  return Boolean(box);
};

// Tab passes over most codes: a list has hundreds.
const meaning = (event) => {
  const here = document.activeElement;
  const codes = [...document.querySelectorAll("main a[href*='/vocabulary#']")].filter((code) => code.checkVisibility());
  const side = event.shiftKey ? Node.DOCUMENT_POSITION_PRECEDING : Node.DOCUMENT_POSITION_FOLLOWING;
  const code = (event.shiftKey ? codes.reverse() : codes).find((other) => here.compareDocumentPosition(other) & side);
  code?.focus();
  return Boolean(code);
};

const acts = {
  "?": () => { help.showModal(); return true; },
  "/": () => goFind(),
  z: () => {
    const button = document.querySelector("[data-zone]:not([hidden])");
    button?.click();
    return Boolean(button);
  },
  f: () => {
    const field = document.querySelector(".filters-card :is(input:not([type=hidden]), select)");
    field?.focus();
    return Boolean(field);
  },
  j: () => move(1),
  k: () => move(-1),
  x: select,
  w: meaning,
  a: () => {
    const act = document.querySelector(".pick-bar select");
    act?.focus();
    return Boolean(act);
  },
  n: () => turn("next"),
  p: () => turn("prev"),
};

let going = 0;
document.addEventListener("keydown", (event) => {
  if (help && !help.open && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k" && goFind()) {
    event.preventDefault();
    return;
  }
  if (!help || help.open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && writes(event.target)) {
    event.target.blur();
    return;
  }
  if (root.dataset.keys === "off" || writes(event.target)) return;
  const key = event.key.toLowerCase();
  const went = Date.now() - going < 1500 && document.querySelector(`[data-go="${CSS.escape(key)}"]`);
  going = key === "g" ? Date.now() : 0;
  if (went) went.click();
  if (went || acts[key]?.(event)) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }
}, true);
