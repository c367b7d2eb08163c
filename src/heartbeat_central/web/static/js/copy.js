/* Copy buttons, and fields that are selected whole when they get the focus. */
"use strict";
(() => {
  function textOf(source) {
    return "value" in source ? source.value : source.textContent;
  }

  async function copy(text) {
    if (navigator.clipboard && window.isSecureContext) {
      await navigator.clipboard.writeText(text);
      return;
    }
    // Browsers hand out the clipboard over HTTPS only; many installations are plain HTTP at home.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "off-screen";
    area.setAttribute("readonly", "");
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (!copied) {
      throw new Error("the browser refused to copy");
    }
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) {
      return;
    }
    const word = button.querySelector("[data-copy-word]");
    try {
      await copy(textOf(document.querySelector(button.dataset.copy)));
      word.textContent = "Copied";
    } catch {
      word.textContent = "Copy by hand";
    }
    button.focus();
    setTimeout(() => {
      word.textContent = "Copy";
    }, 2000);
  });

  document.addEventListener("focusin", (event) => {
    if (event.target.matches("[data-select]")) {
      event.target.select();
    }
  });
})();
