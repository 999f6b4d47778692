// The radius sliders: show what would match at each radius, from the distances in the table.
"use strict";

const sliders = [...document.querySelectorAll("[data-radius]")];
const rows = [...document.querySelectorAll("[data-near]")];
const count = document.querySelector("[data-count]");

const judge = () => {
  const radii = Object.fromEntries(sliders.map((slider) => [slider.dataset.radius, Number(slider.value)]));
  const usual = Object.fromEntries(sliders.map((slider) => [slider.dataset.radius, Number(slider.dataset.usual)]));
  let matching = 0;
  for (const row of rows) {
    const within = [];
    for (const element of row.querySelectorAll("[data-distance]")) {
      // At the default radius, sparse hashes have a smaller one (match_radius in hashdb/domain/signals.py).
      const algorithm = element.dataset.distance;
      const radius = radii[algorithm] === usual[algorithm] ? Number(element.dataset.usual) : radii[algorithm];
      const near = Number(element.dataset.bits) <= radius;
      element.classList.toggle("is-near", near);
      if (near) within.push(algorithm);
    }
    const alone = "overruled" in row.dataset && within.length === 1 && within[0] === "phash";
    const matches = !row.dataset.noMatchReason && within.length > 0 && !alone;
    matching += matches;
    row.classList.toggle("is-far", !matches);
    row.querySelector("[data-verdict]").textContent = row.dataset.noMatchReason ? `no, ${row.dataset.noMatchReason}`
      : !within.length ? "no, too far" : alone ? `no, by ${within.join(" and ")} alone` : `yes, by ${within.join(" and ")}`;
  }
  if (count) count.textContent = matching;
};

const refresh = () => {
  for (const slider of sliders) document.querySelector(`[data-out="${slider.dataset.radius}"]`).value = slider.value;
  judge();
};

for (const slider of sliders) slider.addEventListener("input", refresh);
// Also count sliders that were moved before this script was loaded, or that the browser restored.
window.addEventListener("pageshow", refresh);
refresh();
