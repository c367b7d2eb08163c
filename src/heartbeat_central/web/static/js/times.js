/* Keeps "12 s ago" true and says moments in the viewer's own time zone. Words as in words.py. */
"use strict";
(() => {
  const localTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const thisYear = new Intl.DateTimeFormat(undefined, {
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });

  function relative(moment) {
    const seconds = Math.trunc((moment - Date.now()) / 1000);
    if (seconds === 0) {
      return "now";
    }
    const distance = Math.abs(seconds);
    let words = `${Math.floor(distance / 86400)} d`;
    if (distance < 60) {
      words = `${distance} s`;
    } else if (distance < 3600) {
      words = `${Math.floor(distance / 60)} min`;
    } else if (distance < 172800) {
      words = `${Math.floor(distance / 3600)} h`;
    }
    return seconds > 0 ? `in ${words}` : `${words} ago`;
  }

  function absolute(moment) {
    const sameYear = moment.getFullYear() === new Date().getFullYear();
    return (sameYear ? thisYear : localTime).format(moment);
  }

  function show() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      const words = "absolute" in time.dataset ? absolute(moment) : relative(moment);
      if (time.textContent !== words) {
        time.textContent = words;
      }
      if (!time.dataset.told) {
        time.title = `${localTime.format(moment)} (${time.title})`;
        time.dataset.told = "yes";
      }
    }
  }

  show();
  setInterval(show, 1000);
  document.addEventListener("htmx:afterSettle", show);
})();
