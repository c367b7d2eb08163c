/* Sets the colours before the first paint: as chosen, else as the system says. */
"use strict";
(() => {
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    try {
      return localStorage.getItem("theme") || "auto";
    } catch {
      return "auto"; // Storage is blocked: the system decides.
    }
  }

  function remember(choice) {
    try {
      localStorage.setItem("theme", choice);
    } catch {
      // It holds for this page, then.
    }
  }

  function show(choice) {
    const dark = choice === "dark" || (choice === "auto" && system.matches);
    root.setAttribute("data-bs-theme", dark ? "dark" : "light");
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
    }
  }

  root.classList.add("js");
  show(chosen());
  system.addEventListener("change", () => show(chosen()));
  document.addEventListener("DOMContentLoaded", () => show(chosen()));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-choice]");
    if (button) {
      remember(button.dataset.themeChoice);
      show(button.dataset.themeChoice);
    }
  });
})();
