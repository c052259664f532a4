"use strict";
/* Puts parts of the wall in place as the hub sends them, keeps what somebody is typing, and counts the clocks of open
   alarms. The page says the same without it. */
(() => {
  const wall = document.getElementById("wall");
  const lost = document.getElementById("lost");
  const said = document.getElementById("said");
  let number = Number(wall.dataset.number);
  let heard = Date.now();

  const typed = (part) => {
    const kept = new Map();
    for (const each of part.querySelectorAll("details[id], input[id]")) {
      kept.set(each.id, each.tagName === "DETAILS" ? each.open : each.type === "checkbox" ? each.checked : each.value);
    }
    const active = part.contains(document.activeElement) ? document.activeElement : null;
    const place = active && active.id && active.selectionStart !== undefined ? active.selectionStart : null;
    return () => {
      for (const [id, value] of kept) {
        const each = document.getElementById(id);
        if (!each) continue;
        if (each.tagName === "DETAILS") each.open = value;
        else if (each.type === "checkbox") each.checked = value;
        else each.value = value;
      }
      const again = active && active.id ? document.getElementById(active.id) : null;
      if (again) {
        again.focus();
        if (place !== null && again.setSelectionRange && again.type === "text") again.setSelectionRange(place, place);
      }
    };
  };

  const put = (name, html) => {
    const part = document.getElementById("part-" + name);
    if (!part) return;
    const [top, restore] = [part.scrollTop, typed(part)];
    part.innerHTML = html;
    restore();
    part.scrollTop = top;
  };

  const two = (n) => String(n).padStart(2, "0");
  const tick = () => {
    for (const clock of wall.querySelectorAll("[data-since]")) {
      const s = Math.max(0, Math.floor((Date.now() - Date.parse(clock.dataset.since)) / 1000));
      clock.textContent = (s >= 3600 ? Math.floor(s / 3600) + ":" : "") + two(Math.floor(s / 60) % 60) + ":" + two(s % 60);
    }
    const gone = Date.now() - heard > 12000;
    if (gone && lost.hidden) {
      lost.textContent = lost.dataset.text.replace("@", new Date(heard).toLocaleTimeString());
    }
    lost.hidden = !gone;
  };

  const listen = () => {
    const source = new EventSource("/wall/stream?after=" + number);
    source.addEventListener("parts", (event) => {
      heard = Date.now();
      number = Number(event.lastEventId);
      for (const [name, html] of Object.entries(JSON.parse(event.data))) put(name, html);
      wall.dataset.number = number;
      tick();
    });
    source.addEventListener("still", () => { heard = Date.now(); });
    source.addEventListener("gone", () => { source.close(); location.assign("/sign-in?to=/"); });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
    });
  };

  wall.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches(".take, .end")) return;
    event.preventDefault();
    const answer = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { "X-Kakou-Token": document.body.dataset.csrf, Accept: "application/json" },
    }).catch(() => null);
    if (answer && answer.ok) { said.hidden = true; return; }
    const told = answer ? await answer.json().catch(() => ({})) : {};
    const words = told.words && told.words[document.body.dataset.language];
    said.textContent = wall.dataset["said_" + (told.code || "")] || words || wall.dataset.said_not_sent;
    said.hidden = false;
  });

  setInterval(tick, 1000);
  tick();
  listen();
})();
