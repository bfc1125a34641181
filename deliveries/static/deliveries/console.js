/* The slash key leads to the search, wherever somebody is not writing. */
"use strict";
document.addEventListener("keydown", (pressed) => {
  const search = document.getElementById("console-q");
  const isWriting = pressed.target.closest("input, textarea, select, [contenteditable]");
  if (search && pressed.key === "/" && !isWriting && !pressed.ctrlKey && !pressed.metaKey && !pressed.altKey) {
    pressed.preventDefault();
    search.focus();
    search.select();
  }
});
