/* Follows the service's events: what shows live data is fetched anew when something has changed. */
"use strict";
(() => {
  const state = document.getElementById("live-state");
  const words = { connecting: "Connecting…", live: "Live", lost: "Not connected" };

  function say(now) {
    state.dataset.liveState = now;
    state.querySelector("[data-live-word]").textContent = words[now];
  }

  function refresh() {
    for (const part of document.querySelectorAll("[data-live]")) {
      window.htmx.trigger(part, "changed");
    }
  }

  function listen() {
    const events = new EventSource("/events");
    let connectedBefore = false;
    events.addEventListener("open", () => {
      say("live");
      if (connectedBefore) {
        refresh(); // Something may have changed while the connection was lost.
      }
      connectedBefore = true;
    });
    events.addEventListener("changed", refresh);
    events.addEventListener("error", () => {
      say("lost");
      if (events.readyState === EventSource.CLOSED) {
        // Refused for good, as while the service restarts behind a proxy: ask again later.
        setTimeout(listen, 5000);
      }
    });
    window.addEventListener("pagehide", () => events.close(), { once: true });
  }

  document.addEventListener("htmx:afterSettle", () => {
    const titled = document.querySelector("[data-live][data-title]");
    if (titled) {
      document.title = titled.dataset.title;
    }
  });
  // A details element that was opened stays open when its row is fetched anew.
  let open = [];
  document.addEventListener("htmx:beforeSwap", () => {
    open = [...document.querySelectorAll("details[open] > summary[id]")].map((one) => one.id);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of open) {
      const summary = document.getElementById(id);
      if (summary) {
        summary.parentElement.open = true;
      }
    }
  });
  say("connecting");
  listen();
})();
