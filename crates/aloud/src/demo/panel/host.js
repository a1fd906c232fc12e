// Keeps the page as the host is. Everything here is an extra: without it the
// page is read and its buttons pressed by plain links and forms.
"use strict";
(() => {
  const [now, say, refused] = ["now", "say", "refused"].map((id) => document.getElementById(id));
  const live = new EventSource("/host/live");
  live.onmessage = (event) => {
    const page = JSON.parse(event.data);
    const at = now.querySelector("pre")?.scrollTop ?? 0;
    now.innerHTML = page.html;
    const pre = now.querySelector("pre");
    if (pre) pre.scrollTop = at;
    if (say.textContent !== page.say) say.textContent = page.say;
  };

  // Press a button without loading the page anew; what comes of it arrives above.
  document.addEventListener("submit", async (event) => {
    if (live.readyState !== EventSource.OPEN) return; // then the plain form does it
    event.preventDefault();
    refused.textContent = "";
    try {
      const answer = await fetch(event.target.action, { method: "POST" });
      if (!answer.ok) refused.textContent = await answer.text();
    } catch {
      event.target.submit();
    }
  });
})();
