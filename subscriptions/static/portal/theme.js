// Before the first paint: the theme that this browser chose, so that nothing flashes. Without a choice the system decides.
(() => {
  // What only scripts can do shows from the beginning, so that nothing moves later.
  document.documentElement.classList.add("scripted");
  try {
    const chosen = localStorage.getItem("portal-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be forbidden; then the system's theme it is.
  }
})();
