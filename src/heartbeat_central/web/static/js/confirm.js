/* Asks in a dialog before what can't be undone. Without scripts the link leads to a page that asks. */
"use strict";
(() => {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-confirm]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) {
      return;
    }
    event.preventDefault();
    const dialog = document.getElementById("confirm");
    dialog.querySelector("form").action = link.getAttribute("href");
    dialog.querySelector("#confirm-title").textContent = link.dataset.confirm;
    dialog.querySelector("#confirm-text").textContent = link.dataset.confirmText;
    dialog.querySelector("#confirm-button").textContent = link.dataset.confirmButton;
    const back = link.id;
    dialog.addEventListener(
      "hidden.bs.modal",
      () => {
        // The page may have been updated meanwhile, and the link with it.
        const again = back ? document.getElementById(back) : link;
        if (again) {
          again.focus();
        }
      },
      { once: true },
    );
    window.bootstrap.Modal.getOrCreateInstance(dialog).show();
  });
})();
