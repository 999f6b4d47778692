// Compare two files: show both from the browser's memory, send them, and lay one over the other.
"use strict";

(() => {
  const form = document.querySelector("[data-compare]");
  if (!form) return;
  const NAMES = ["first", "second"];
  const LONGEST = 1600;
  // How each form of a picture turns it: columns of a matrix for coordinates from its centre, y downwards.
  const TURNS = {
    whole: [1, 0, 0, 1], mirror: [-1, 0, 0, 1], flip: [1, 0, 0, -1], "rotate-180": [-1, 0, 0, -1],
    transpose: [0, 1, 1, 0], "rotate-90": [0, -1, 1, 0], "rotate-270": [0, 1, -1, 0], transverse: [0, -1, -1, 0],
  };
  const inputs = Object.fromEntries(NAMES.map((name) => [name, form.elements[name]]));
  const shown = {};
  let sending;

  const say = (where, text) => where.replaceChildren(Object.assign(document.createElement("p"), { textContent: text }));
  const result = () => document.querySelector("[data-result]");
  // The place of the overlay; null until the page has one and both files are shown.
  const overlayOfBoth = () => (NAMES.every((name) => shown[name]) ? document.querySelector("[data-overlay]") : null);

  const asPicture = async (file) => {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    canvas.setAttribute("role", "img");
    return canvas;
  };

  const asVideo = (file) => new Promise((resolve, reject) => {
    const video = document.createElement("video");
    Object.assign(video, { muted: true, controls: true, playsInline: true, preload: "auto" });
    video.addEventListener("loadeddata", () => resolve(video), { once: true });
    video.addEventListener("error", reject, { once: true });
    for (const kind of ["seeked", "timeupdate"]) video.addEventListener(kind, draw);
    video.src = URL.createObjectURL(file);
  });

  const show = async (name) => {
    const where = document.querySelector(`[data-preview="${name}"]`);
    const file = inputs[name].files[0];
    if (shown[name]?.src) URL.revokeObjectURL(shown[name].src);
    delete shown[name];
    where.replaceChildren();
    if (!file) return;
    try {
      const seen = await (file.type.startsWith("video/") ? asVideo(file) : asPicture(file));
      if (inputs[name].files[0] !== file) return;
      seen.setAttribute("aria-label", file.name);
      shown[name] = seen;
      where.replaceChildren(seen);
      begin();
    } catch {
      say(where, "This browser cannot show this file. The service may still be able to hash it.");
    }
  };

  // Lay one over the other, turned and cut as the page says.
  const draw = () => {
    const overlay = overlayOfBoth();
    if (!overlay) return;
    overlay.hidden = false;
    const { turn = "whole", window, larger } = overlay.dataset;
    const cut = Object.fromEntries(NAMES.map((name) => [name, name === larger ? window.split(" ").map(Number) : [0, 0, 1, 1]]));
    const stage = overlay.querySelector("[data-stage]");
    const context = stage.getContext("2d");
    const [left, top, right, bottom] = cut.second;
    const width = (shown.second.videoWidth || shown.second.width) * (right - left);
    const height = (shown.second.videoHeight || shown.second.height) * (bottom - top);
    const scale = Math.min(1, 960 / Math.max(width, height));
    stage.width = Math.max(1, Math.round(width * scale));
    stage.height = Math.max(1, Math.round(height * scale));
    const put = (name, matrix) => {
      const [left, top, right, bottom] = cut[name];
      const [across, down] = [stage.width / (right - left), stage.height / (bottom - top)];
      context.setTransform(across, 0, 0, down, -left * across, -top * down);
      context.translate(0.5, 0.5);
      context.transform(...matrix, 0, 0);
      context.translate(-0.5, -0.5);
      context.drawImage(shown[name], 0, 0, 1, 1);
      context.setTransform(1, 0, 0, 1, 0, 0);
    };
    const how = overlay.querySelector("[name=how]:checked").value;
    const strength = Number(overlay.querySelector("[data-strength]").value);
    const doublings = Math.round(strength / 33);
    put("second", TURNS.whole);
    if (how === "difference") context.globalCompositeOperation = "difference";
    if (how === "blend") context.globalAlpha = strength / 100;
    if (how === "wipe") {
      context.beginPath();
      context.rect(0, 0, stage.width * strength / 100, stage.height);
      context.clip();
    }
    put("first", TURNS[turn] ?? TURNS.whole);
    if (how === "difference") {
      context.globalCompositeOperation = "lighter";
      for (let time = 0; time < doublings; time += 1) context.drawImage(stage, 0, 0);
    }
    overlay.querySelector("[data-said]").value = how === "difference" ? `× ${2 ** doublings}` : `${strength} %`;
  };

  // Move both videos to where they show the same.
  const seek = (times) => NAMES.forEach((name, place) => {
    if (shown[name]?.src) shown[name].currentTime = Number(times.split(" ")[place]);
  });

  // Show what the page says of two files that are both there.
  const begin = () => {
    const overlay = overlayOfBoth();
    if (!overlay) return;
    result().querySelectorAll("button[data-times]").forEach((button) => { button.disabled = false; });
    if (overlay.dataset.times) seek(overlay.dataset.times);
    draw();
  };

  const send = async () => {
    sending?.abort();
    sending = new AbortController();
    const { signal } = sending;
    const where = result();
    say(where, "The service hashes both files …");
    where.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(form.action, { method: "POST", body: new FormData(form), signal });
      if (answer.redirected) return location.assign(answer.url);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const answered = page.querySelector("[data-result]");
      if (answered) where.replaceWith(answered);
      else say(where, page.querySelector("main .lead")?.textContent ?? "The service refused the files.");
      begin();
    } catch {
      if (!signal.aborted) say(where, "The service did not answer. Try again.");
    }
    if (!signal.aborted) where.removeAttribute("aria-busy");
  };

  // As if the user had chosen these files.
  const choose = (chosen) => {
    for (const [name, file] of Object.entries(chosen)) {
      const data = new DataTransfer();
      if (file) data.items.add(file);
      inputs[name].files = data.files;
      show(name);
    }
    if (NAMES.every((name) => inputs[name].files.length)) send();
  };

  form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
  for (const name of NAMES) {
    inputs[name].addEventListener("change", () => choose({ [name]: inputs[name].files[0] }));
    if (inputs[name].files.length) show(name);
  }
  form.querySelectorAll("[data-swap], [data-dim], .drop-note").forEach((element) => { element.hidden = false; });
  form.querySelector("[data-swap]").addEventListener("click", () => choose({ first: inputs.second.files[0], second: inputs.first.files[0] }));
  form.querySelector("[data-dim]").addEventListener("change", (event) => document.body.classList.toggle("is-dim", event.target.checked));
  document.addEventListener("input", (event) => { if (event.target.closest("[data-overlay]")) draw(); });
  document.addEventListener("click", (event) => {
    const { times, turn } = event.target.closest?.("button[data-times]")?.dataset ?? {};
    if (!times) return;
    document.querySelector("[data-overlay]").dataset.turn = turn;
    seek(times);
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      const over = event.target.closest?.(".card")?.querySelector("[data-drop]");
      form.querySelectorAll("[data-drop]").forEach((place) => place.classList.toggle("is-over", kind === "dragover" && place === over));
      const files = kind === "drop" ? [...event.dataTransfer.files] : [];
      const at = NAMES.find((name) => (over ? over.contains(inputs[name]) : !inputs[name].files.length)) ?? "first";
      if (files.length > 1) choose({ first: files[0], second: files[1] });
      else if (files.length) choose({ [at]: files[0] });
    });
  }
})();
