// A picture or a video dropped anywhere on the page is put into the form, and the form is sent.
"use strict";

const drop = document.querySelector("[data-drop]");
if (drop) {
  const file = drop.querySelector("[type=file]");
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      drop.classList.toggle("is-over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) {
        file.files = event.dataTransfer.files;
        file.form.requestSubmit();
      }
    });
  }
}
