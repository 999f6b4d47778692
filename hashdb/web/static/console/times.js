// Shows every time in the reader's zone, with UTC in its title. A button in the menu, or the key Z, shows UTC instead.
"use strict";

(() => {
  const ZONES = ["en-GB", "en-US", "en-AU"].map((place) => new Intl.DateTimeFormat(place, { timeZoneName: "short" }));
  // Each English knows the short names of its own zones; the others say GMT+9.
  const zone = (at) => {
    const names = ZONES.map((format) => format.formatToParts(at).find((part) => part.type === "timeZoneName").value);
    return names.find((name) => !/^(GMT|UTC)[+-]/.test(name)) ?? names[0];
  };
  const local = (at) => new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19).replace("T", " ");
  const show = (place) => {
    const mine = stored("hashdb-times") !== "utc";
    for (const time of place.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      const utc = at.toISOString().slice(0, 19).replace("T", " ");
      const [shown, name] = mine ? [local(at), zone(at)] : [utc, "UTC"];
      const whole = `${utc} UTC`;
      if ("date" in time.dataset) {
        time.textContent = shown.slice(0, 10);
        time.title = mine ? `${shown} ${name}, ${whole}` : whole;
      } else {
        time.firstChild.data = `${shown} `;
        time.querySelector("small").textContent = name;
        time.title = whole;
      }
    }
    for (const button of document.querySelectorAll("[data-zone]")) {
      button.querySelector("span").textContent = `Times in ${mine ? zone(new Date()) : "UTC"}`;
    }
  };
  for (const button of document.querySelectorAll("[data-zone]")) {
    // A reader whose zone is UTC has nothing to choose.
    button.hidden = new Date().getTimezoneOffset() === 0 && new Date(2000, 6).getTimezoneOffset() === 0;
    button.addEventListener("click", () => {
      stored("hashdb-times", stored("hashdb-times") === "utc" ? "own" : "utc");
      show(document);
    });
  }
  document.addEventListener("htmx:afterSwap", () => show(document));
  show(document);
})();
