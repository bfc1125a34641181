// Before the first paint: the theme that this browser chose, so that nothing flashes. Without a choice the system decides.
(() => {
  try {
    const chosen = localStorage.getItem("portal-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be forbidden; then the system's theme it is.
  }
})();
