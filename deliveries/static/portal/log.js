// The event log: the panel, picking, living, and moving with j and k.
(() => {
  "use strict";
  const LIVE_MS = 2000;
  const place = () => document.querySelector("#panel-place");
  const panel = () => document.querySelector("#panel-place #panel");
  const rows = () => [...document.querySelectorAll("#log-rows tr[data-id]")];

  // --- Panel ------------------------------------------------------------------------------------------------------
  const withoutPanel = () => {
    const address = new URL(location.href);
    address.searchParams.delete("open");
    return address.pathname + address.search;
  };
  const mark = (id) => {
    for (const row of rows()) row.classList.toggle("is-open", row.dataset.id === id);
  };
  const close = ({ keepsAddress = false } = {}) => {
    if (!panel()) return;
    const id = panel().dataset.id;
    place().replaceChildren();
    mark("");
    if (!keepsAddress) history.pushState({ htmx: true }, "", withoutPanel());
    document.querySelector(`#log-rows tr[data-id="${id}"] .row-main`)?.focus();
  };
  const open = (row) => row?.querySelector(".row-main")?.click();
  const step = (by) => {
    const all = rows();
    const at = all.findIndex((row) => row.classList.contains("is-open"));
    const next = at < 0 ? all[0] : all[at + by];
    if (next) {
      next.scrollIntoView({ block: "nearest" });
      open(next);
    }
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close-panel]") && panel()) {
      event.preventDefault();
      close();
    }
    const choice = event.target.closest("[data-body]");
    if (choice) {
      const body = choice.closest(".body");
      for (const button of body.querySelectorAll("[data-body]")) button.setAttribute("aria-pressed", String(button === choice));
      for (const part of body.querySelectorAll("[data-part]")) part.hidden = part.dataset.part !== choice.dataset.body;
    }
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target?.id === "panel-place" && panel()) {
      mark(panel().dataset.id);
      panel().focus({ preventScroll: true });
    }
  });
  document.addEventListener("submit", (event) => {
    const back = event.target.querySelector("[data-back]");
    if (back && place()) back.value = location.pathname + location.search;
  });
  // The address tells which delivery is open: the back button closes or changes the panel.
  // htmx fetches what its own entries showed; an entry without a mark is older than its first.
  addEventListener("popstate", (event) => {
    if (!event.state?.htmx) location.reload();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && panel() && !document.querySelector("dialog[open]")) close();
    if (event.target.closest("input, textarea, select, dialog[open]")) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "r" && panel()) panel().querySelector("[data-resend]")?.click();
  });

  // --- Picking ------------------------------------------------------------------------------------------------------
  const picks = () => [...document.querySelectorAll("#log-rows input[name=delivery]")];
  const countPicked = () => {
    const picked = picks().filter((box) => box.checked).length;
    const counter = document.querySelector("[data-picked-count]");
    if (!counter) return;
    counter.textContent = picked ? `${picked} picked` : "None picked";
    counter.parentElement.querySelector("button").disabled = !picked;
    const all = document.querySelector("[data-pick-all]");
    all.checked = picked > 0 && picked === picks().length;
    all.indeterminate = picked > 0 && picked < picks().length;
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-pick-all]")) for (const box of picks()) box.checked = event.target.checked;
    if (event.target.matches("[data-pick-all], input[name=delivery]")) countPicked();
  });

  // --- Live: the first page, fetched again and again; what changed shows for a moment -----------------------------------
  let known = new Map();
  let picked = new Set();
  const prints = () => new Map(rows().map((row) => [row.dataset.id, row.textContent.replace(/\s+/g, " ")]));
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target?.id !== "log-rows") return;
    known = prints();
    picked = new Set(picks().filter((box) => box.checked).map((box) => box.value));
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (!document.querySelector("#log-rows")) return;
    if (panel()) mark(panel().dataset.id);
    if (event.detail.target?.id !== "log-rows" && event.target.id !== "log-rows") return countPicked();
    for (const row of rows()) if (!known.has(row.dataset.id)) row.classList.add("is-new");
    for (const box of picks()) box.checked = picked.has(box.value);
    countPicked();
    setTimeout(() => rows().forEach((row) => row.classList.remove("is-new")), LIVE_MS - 500);
  });
  const button = () => document.querySelector("#live");
  const isLive = () => button()?.getAttribute("aria-pressed") === "true";
  const setLive = (value) => {
    button().setAttribute("aria-pressed", String(value));
    button().querySelector("span").textContent = value ? "Pause" : "Live";
    button().querySelector("use").setAttribute("href", button().querySelector("use").getAttribute("href").replace(/#.*/, value ? "#pause" : "#play"));
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest("#live")) setLive(!isLive());
  });
  setInterval(() => {
    if (document.hidden || !window.htmx) return;
    const list = document.querySelector("#log-rows[hx-get], #log [data-tail]");
    if (isLive() && list) htmx.trigger(list, "tail");
    // A delivery that waits is looked at again while somebody looks at it, unless something in it was opened.
    if (panel()?.matches("[data-waiting]") && !panel().contains(document.getSelection()?.anchorNode)) htmx.trigger(panel(), "tail-panel");
  }, LIVE_MS);
})();
