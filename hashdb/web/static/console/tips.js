// Shows what a title says beside its element, for the keyboard and for touch, too. Without scripts, hovering shows it.
"use strict";

(() => {
  const tip = Object.assign(document.createElement("div"), { id: "tip", className: "tip", hidden: true });
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);
  let shown = null;

  const hideTip = () => {
    if (!shown) return;
    shown.removeAttribute("aria-describedby");
    shown.title = tip.textContent;
    shown = null;
    tip.hidden = true;
  };

  const showTip = (event) => {
    if (event.target === tip || shown?.contains(event.target)) return;
    hideTip();
    const found = event.target.closest?.("main :is(a, abbr, span, small, time, th)[title]");
    if (!found?.title) return;
    shown = found;
    tip.textContent = found.title;
    // Else the browser shows the title, too.
    found.removeAttribute("title");
    found.setAttribute("aria-describedby", tip.id);
    tip.hidden = false;
    const at = found.getBoundingClientRect(), size = tip.getBoundingClientRect();
    const below = at.bottom + size.height < innerHeight;
    tip.style.left = `${Math.max(8, Math.min(at.left, document.documentElement.clientWidth - size.width - 8))}px`;
    tip.style.top = `${below ? at.bottom : at.top - size.height}px`;
  };

  document.addEventListener("pointerover", showTip);
  document.addEventListener("focusin", showTip);
  document.addEventListener("focusout", hideTip);
  document.addEventListener("scroll", hideTip, { capture: true, passive: true });
  document.addEventListener("htmx:beforeSwap", hideTip);
  addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
})();
