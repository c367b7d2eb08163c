/* Form parts that depend on a choice, passwords that can be shown, buttons that say they work. */
"use strict";
(() => {
  /* data-show-when="kind=cron,oncalendar": shown while the field `kind` has one of the values. */
  function showParts() {
    for (const part of document.querySelectorAll("[data-show-when]")) {
      const [name, values] = part.dataset.showWhen.split("=");
      const field = document.querySelector(`[name="${name}"]:checked`);
      part.hidden = !field || !values.split(",").includes(field.value);
    }
  }

  function reveal(button) {
    const field = document.querySelector(button.dataset.reveal);
    const shown = field.type === "text";
    field.type = shown ? "password" : "text";
    button.setAttribute("aria-pressed", String(!shown));
  }

  showParts();
  document.addEventListener("change", showParts);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-reveal]");
    if (button) {
      reveal(button);
    }
  });
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || !button.dataset.busy) {
      return;
    }
    button.querySelector("[data-busy-word]").textContent = button.dataset.busy;
    // After the form is on its way: a disabled button would not be sent.
    setTimeout(() => {
      button.disabled = true;
    });
  });
  // Back in the history a browser may show the page as it was left, still busy.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) {
      window.location.reload();
    }
  });
})();
