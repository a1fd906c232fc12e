// Shows times as this browser's owner reads them, and new mails as they come.
"use strict";
(() => {
  const time = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const dates = () => {
    for (const el of document.querySelectorAll("time[data-at]")) el.textContent = time.format(new Date(Number(el.dataset.at)));
  };
  dates();
  const main = document.getElementById("main");
  if (!main) return;
  new EventSource("/live").onmessage = async (event) => {
    if (event.data === main.dataset.newest) return;
    const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
    const focus = document.activeElement?.id;
    main.innerHTML = page.getElementById("main").innerHTML;
    main.dataset.newest = event.data;
    document.title = page.title;
    if (focus) document.getElementById(focus)?.focus();
    dates();
  };
})();
