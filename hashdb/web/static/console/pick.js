// Selects rows of a list. Without scripts the boxes of the form do the same, one by one.
"use strict";

for (const form of document.querySelectorAll("[data-pick]")) {
  const boxes = [...form.querySelectorAll("[name=id]")];
  const whole = form.querySelector("[data-pick-page]");
  const all = form.querySelector("[data-pick-all]");
  const count = form.querySelector("[data-pick-count]");
  let last = null;
  const show = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    whole.checked = ticked > 0 && ticked === boxes.length;
    whole.indeterminate = ticked > 0 && ticked < boxes.length;
    whole.disabled = all.checked;
    boxes.forEach((box) => { box.disabled = all.checked; box.closest("tr").classList.toggle("is-picked", box.checked || all.checked); });
    count.textContent = all.checked ? "" : `${ticked} selected`;
    for (const button of form.querySelectorAll(".pick-bar button")) button.disabled = !ticked && !all.checked;
  };
  whole.hidden = count.hidden = false;
  whole.addEventListener("change", () => { boxes.forEach((box) => { box.checked = whole.checked; }); show(); });
  all.addEventListener("change", show);
  for (const box of boxes) {
    box.addEventListener("click", (event) => {
      if (event.shiftKey && last) {
        const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((first, second) => first - second);
        boxes.slice(from, to + 1).forEach((between) => { between.checked = box.checked; });
      }
      last = box;
      show();
    });
  }
  show();
  // A browser that goes back to the page restores the boxes after this script.
  addEventListener("pageshow", show);
}
