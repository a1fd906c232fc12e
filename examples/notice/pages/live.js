// Keeps the page as it is on the server. Everything here is an extra: without
// it the page is read and switched by plain links and forms.
"use strict";
(() => {
  let ahead = Number(document.body.dataset.now) - Date.now(); // how far the server's clock is ahead of ours
  const shown = new Map();
  const time = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

  function countdown(left) {
    const s = Math.ceil(left / 1000);
    if (s <= 0) return "now";
    if (s < 60) return `in ${s} s`;
    const m = Math.floor(s / 60);
    if (m < 60) return `in ${m} min ${String(s % 60).padStart(2, "0")} s`;
    return `in ${Math.floor(m / 60)} h ${String(m % 60).padStart(2, "0")} min`;
  }

  function tick() {
    const now = Date.now() + ahead;
    for (const el of document.querySelectorAll("[data-due]")) {
      const due = Number(el.dataset.due);
      const from = Number(el.dataset.from);
      const text = countdown(due - now);
      if (el.textContent !== text) el.textContent = text;
      const bar = el.closest(".fate")?.querySelector("progress");
      if (bar) bar.value = Math.max(0, Math.min(1000, (1000 * (now - from)) / Math.max(1, due - from)));
    }
  }

  function dates(within) {
    for (const el of within.querySelectorAll("time[data-at]")) {
      const at = new Date(Number(el.dataset.at));
      el.dateTime = at.toISOString();
      el.textContent = (el.dataset.say ?? "") + time.format(at);
    }
  }

  // Makes a part of the page read like the new one. A part that stays keeps the
  // keyboard's focus, and the press of a key that is under way.
  function part(within, next, selector) {
    const [old, now] = [within.querySelector(selector), next.querySelector(selector)];
    if (!now) old?.remove();
    else if (!old) within.append(now);
    else if (!old.isEqualNode(now)) {
      now.toggleAttribute("open", old.hasAttribute("open"));
      const focus = old.contains(document.activeElement) ? document.activeElement.id : "";
      old.replaceWith(now);
      if (focus) document.getElementById(focus)?.focus();
    }
  }

  function put(id, html) {
    const [row, next] = [document.getElementById(id), document.createElement("template")];
    if (!row || shown.get(id) === html) return;
    shown.set(id, html);
    next.innerHTML = html;
    const [old, now] = [row.querySelector(".switch"), next.content.querySelector(".switch")];
    old.setAttribute("aria-checked", now.getAttribute("aria-checked"));
    old.querySelector(".word").textContent = now.querySelector(".word").textContent;
    old.form.elements.on.value = now.form.elements.on.value;
    part(row, next.content, ".fate");
    part(row, next.content, ".earlier");
    dates(row);
  }

  const live = new EventSource("/live");
  live.onmessage = (event) => {
    const page = JSON.parse(event.data);
    ahead = page.now - Date.now();
    const link = document.getElementById("link");
    if (shown.get("link") !== page.link) {
      shown.set("link", page.link);
      link.innerHTML = page.link;
      dates(link);
    }
    for (const row of page.rows) put(`row-${row.id}`, row.html);
    if (page.say) document.getElementById("say").textContent = page.say;
    tick();
  };

  // Switch without loading the page anew; what became of it arrives above.
  document.addEventListener("submit", async (event) => {
    if (live.readyState !== EventSource.OPEN) return; // then the plain form does it
    event.preventDefault();
    const form = event.target;
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: new URLSearchParams(new FormData(form)),
        headers: { Accept: "application/json" },
      });
      if (!answer.ok) document.getElementById("link").textContent = await answer.text();
    } catch {
      form.submit();
    }
  });

  dates(document);
  tick();
  setInterval(tick, 250);
})();
