// The search box: Enter sends it, Shift and Enter begin a line, and a picture or a video can be dropped on it.
"use strict";

(() => {
  const form = document.querySelector("[data-find]");
  if (!form) return;
  const [text, file] = [form.querySelector("textarea"), form.querySelector("[type=file]")];
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  const fit = () => { text.rows = Math.min(6, text.value.split("\n").length); };
  text.addEventListener("input", fit);
  fit();
  file?.addEventListener("change", () => { if (file.files.length) form.requestSubmit(); });
  // A page that takes files itself keeps those that are dropped outside the box.
  const everywhere = !document.querySelector("main [type=file]");
  for (const kind of file ? ["dragover", "dragleave", "drop"] : []) {
    document.addEventListener(kind, (event) => {
      if (!event.dataTransfer.types.includes("Files") || !(everywhere || form.contains(event.target))) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      form.classList.toggle("is-over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) {
        file.files = event.dataTransfer.files;
        form.requestSubmit();
      }
    }, true);
  }
})();
