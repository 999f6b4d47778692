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
    const element = event.target.closest?.("main :is(a, abbr, span, small, time, th)[title]");
    if (!element?.title) return;
    shown = element;
    tip.textContent = element.title;
    // Else the browser shows the title, too.
    element.removeAttribute("title");
    element.setAttribute("aria-describedby", tip.id);
    tip.hidden = false;
    const at = element.getBoundingClientRect(), size = tip.getBoundingClientRect();
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
