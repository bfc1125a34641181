// Forms of endpoints: what follows a choice, the tree of event types, and the address after something was made.
(() => {
  "use strict";
  const show = () => {
    for (const part of document.querySelectorAll("[data-shown-by]")) {
      const [name, values] = part.dataset.shownBy.split("=");
      const chosen = document.querySelector(`input[name="${name}"]:checked, select[name="${name}"]`);
      part.classList.toggle("is-shown", values.split("|").includes(chosen?.value));
    }
  };

  const boxes = (group) => [...group.querySelectorAll(".tree-type input")];
  const sum = () => {
    const tree = document.querySelector(".tree");
    if (!tree) return;
    let types = 0;
    let groups = 0;
    for (const group of tree.querySelectorAll(".tree-group")) {
      const all = boxes(group);
      const prefixes = all.filter((box) => box.matches("[data-prefix]") && box.checked).map((box) => box.value.slice(0, -1));
      for (const box of all) {
        // What a prefix takes anyway need not be chosen, and is shown as taken.
        const isTaken = !box.matches("[data-prefix]") && prefixes.some((prefix) => box.value.startsWith(prefix));
        box.disabled = isTaken;
        box.closest(".tree-type").classList.toggle("quiet", isTaken);
      }
      const plain = all.filter((box) => !box.matches("[data-prefix]"));
      const taken = plain.filter((box) => box.checked || box.disabled).length;
      types += taken;
      groups += taken || prefixes.length ? 1 : 0;
      const whole = group.querySelector("[data-tree-group]");
      if (whole) {
        whole.checked = taken > 0 && taken === plain.length;
        whole.indeterminate = taken > 0 && taken < plain.length;
      }
    }
    tree.querySelector("[data-tree-sum]").textContent = `${types} ${types === 1 ? "type" : "types"} in ${groups} ${groups === 1 ? "group" : "groups"}`;
  };
  const search = (text) => {
    const wanted = text.trim().toLowerCase();
    for (const group of document.querySelectorAll(".tree-group")) {
      let found = 0;
      for (const line of group.querySelectorAll(".tree-type")) {
        line.hidden = !line.textContent.toLowerCase().includes(wanted);
        found += line.hidden ? 0 : 1;
      }
      group.hidden = !found;
    }
  };

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-tree-group]")) {
      for (const box of boxes(event.target.closest(".tree-group"))) if (!box.matches("[data-prefix]") && !box.disabled) box.checked = event.target.checked;
    }
    show();
    sum();
  });
  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-tree-search]")) search(event.target.value);
  });
  document.addEventListener("DOMContentLoaded", () => {
    show();
    sum();
    // What the answer to a form shows once must not be asked for again by a reload.
    const made = document.querySelector("[data-address]");
    if (made) history.replaceState({}, "", made.dataset.address);
    document.querySelector(".field-wrong input, .field-wrong textarea, .field-wrong select")?.focus();
  });
})();
