// Renders the sample again while a profile is being written. Without this the Preview button does it.
document.addEventListener("DOMContentLoaded", () => {
  const shown = document.getElementById("signet-preview");
  const form = document.getElementById("wireprofile_form");
  const button = form?.querySelector("button[name=_preview]");
  if (!shown || !button) return;
  const status = document.getElementById("signet-preview-status");
  const PAUSE_MS = 300; // After the last key: long enough to type on, short enough to feel live.
  let timer = 0;
  let running = null;

  const refresh = async () => {
    clearTimeout(timer);
    running?.abort();
    const mine = (running = new AbortController());
    shown.classList.add("signet-busy");
    try {
      // The form holds the CSRF token.
      const answer = await fetch(shown.dataset.url, { method: "POST", body: new FormData(form), signal: mine.signal });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      shown.innerHTML = await answer.text(); // Escaped by the server.
      status.textContent = shown.querySelector("[data-verdict]")?.textContent ?? "";
    } catch (trouble) {
      if (trouble.name === "AbortError") return;
      status.textContent = "The preview could not be loaded. Are you still logged in?";
    }
    if (mine === running) shown.classList.remove("signet-busy");
  };

  form.addEventListener("input", (event) => {
    if (event.target.name !== "definition" && !event.target.name?.startsWith("sample-")) return;
    clearTimeout(timer);
    timer = setTimeout(refresh, PAUSE_MS);
  });
  button.addEventListener("click", (event) => {
    event.preventDefault();
    refresh();
  });
});
