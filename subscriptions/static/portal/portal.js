// The portal's own behaviour. Everything works, or is hidden, without it up to creating an endpoint and reading the log.
(() => {
  "use strict";
  const root = document.documentElement;

  // --- Theme: system, light, dark, remembered -------------------------------------------------------------------------
  const THEMES = ["system", "light", "dark"];
  const themeNow = () => root.dataset.theme || "system";
  const setTheme = (theme) => {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    try {
      if (theme === "system") localStorage.removeItem("portal-theme");
      else localStorage.setItem("portal-theme", theme);
    } catch {
      // Not remembered, then.
    }
    nameThemes(document);
  };
  const nameThemes = (part) => {
    for (const button of part.querySelectorAll("[data-theme-switch]")) {
      const name = button.querySelector("[data-theme-name]");
      if (name) name.textContent = `Theme: ${themeNow()}`;
    }
  };

  // --- Times in the viewer's zone -------------------------------------------------------------------------------------
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
  const at = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const words = (seconds, parts = 1) => {
    const found = [];
    let left = Math.round(Math.abs(seconds));
    for (const [size, unit] of UNITS) {
      if (left >= size && found.length < parts) {
        found.push(`${Math.floor(left / size)} ${unit}`);
        left %= size;
      }
    }
    return found.join(" ") || "0 s";
  };
  const showTime = (element, now) => {
    const moment = new Date(element.dateTime);
    const seconds = (moment - now) / 1000;
    const text = {
      ago: () => (Math.abs(seconds) < 5 ? "now" : seconds < 0 ? `${words(seconds)} ago` : `in ${words(seconds)}`),
      at: () => at.format(moment),
      clock: () => clock.format(moment),
      countdown: () => (seconds > 0 ? `in ${words(seconds, 2)}` : "now"),
    }[element.dataset.time];
    const shown = text ? text() : element.textContent;
    if (element.textContent !== shown) element.textContent = shown;
    element.title = `${exact.format(moment)}\n${moment.toISOString().replace("T", " ").replace(/\.\d+Z$/, "")} UTC`;
  };
  const showTimes = (part) => {
    const now = Date.now();
    for (const element of part.querySelectorAll("time[data-time]")) showTime(element, now);
  };

  // --- Copy -----------------------------------------------------------------------------------------------------------
  const copyText = async (button) => {
    const source = button.dataset.copyFrom && document.querySelector(button.dataset.copyFrom);
    try {
      await navigator.clipboard.writeText(source ? source.textContent : button.dataset.copy);
      button.classList.add("is-done");
      say("Copied");
      setTimeout(() => button.classList.remove("is-done"), 1500);
    } catch {
      say("The browser does not allow copying here");
    }
  };

  // --- Toasts ---------------------------------------------------------------------------------------------------------
  const TOAST_MS = 6000;
  const say = (text, kind = "info") => {
    const toast = document.createElement("p");
    toast.className = `toast toast-${kind}`;
    toast.textContent = text;
    document.querySelector(".toasts").append(toast);
    setTimeout(() => toast.remove(), TOAST_MS);
  };
  window.portalSay = say;

  // --- Whatever comes into the page, now or by htmx -------------------------------------------------------------------
  const prepare = (part) => {
    showTimes(part);
    nameThemes(part);
    for (const form of part.querySelectorAll("form[data-submit-at-once]")) form.requestSubmit();
  };
  document.addEventListener("DOMContentLoaded", () => {
    prepare(document);
    for (const toast of document.querySelectorAll(".toast-success, .toast-info")) setTimeout(() => toast.remove(), TOAST_MS);
    setInterval(() => showTimes(document), 1000);
  });
  document.addEventListener("htmx:afterSettle", (event) => prepare(event.target.parentElement || document));

  // --- Clicks ---------------------------------------------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-copy], [data-copy-from], [data-theme-switch], .bar-toggle, [data-opens], [data-closes]");
    if (!target) return;
    if (target.matches("[data-copy], [data-copy-from]")) copyText(target);
    else if (target.matches("[data-theme-switch]")) setTheme(THEMES[(THEMES.indexOf(themeNow()) + 1) % THEMES.length]);
    else if (target.matches(".bar-toggle")) {
      const isOpen = target.closest(".bar").classList.toggle("is-open");
      target.setAttribute("aria-expanded", String(isOpen));
    } else if (target.dataset.opens) document.querySelector(target.dataset.opens)?.showModal();
    else target.closest("dialog")?.close();
  });

  // A form whose fields choose what the page shows is sent when one changes.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-submit-on-change]");
    if (form && !event.target.matches("[data-no-submit]")) form.requestSubmit();
  });

  // --- Busy, and what went wrong on the way ---------------------------------------------------------------------------
  let running = 0;
  const count = (step) => {
    running = Math.max(0, running + step);
    document.body.classList.toggle("is-busy", running > 0);
  };
  document.addEventListener("htmx:beforeRequest", () => count(1));
  document.addEventListener("htmx:afterRequest", () => count(-1));
  document.addEventListener("htmx:sendError", () => say("The server could not be reached. Check your connection.", "error"));
  document.addEventListener("htmx:responseError", (event) => {
    const answer = new DOMParser().parseFromString(event.detail.xhr.responseText || "", "text/html");
    const sentence = answer.querySelector(".notice p")?.textContent;
    say(sentence || `The server answered ${event.detail.xhr.status}. Try again in a moment.`, "error");
  });

  // --- Keys: g and a letter goes to a section, / searches, ? shows the list --------------------------------------------
  const SECTIONS = { o: 0, e: 1, l: 2, c: 3, k: 4, t: 5, a: 6 };
  let isGoing = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog[open]")) return;
    if (isGoing && event.key in SECTIONS) {
      document.querySelectorAll(".nav a")[SECTIONS[event.key]]?.click();
      event.preventDefault();
    } else if (event.key === "/") {
      const search = document.querySelector("[data-search]");
      if (search) {
        search.focus();
        search.select?.();
        event.preventDefault();
      }
    } else if (event.key === "?") document.querySelector("#keys-dialog")?.showModal();
    isGoing = event.key === "g";
  });
})();
