// Parts of a page that the server writes, asked for again whenever something has changed. Nothing is drawn here.
"use strict";
let aheadMs = 0;                 // the server's clock against this one

async function follow(place) {
  let after = -1, shown = null;
  for (;;) {
    try {
      const answer = await fetch(`${place.dataset.follow}?after=${after}`, {
        cache: "no-store", headers: { "X-Kakou-Watching": "1", "Accept": "application/json" },
      });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      after = Number(answer.headers.get("X-Kakou-Pulse"));
      aheadMs = Date.parse(answer.headers.get("X-Kakou-Now")) - Date.now();
      const text = await answer.text();
      if (text !== shown) {
        if (shown !== null || text.trim() !== place.innerHTML.trim()) place.innerHTML = text;
        shown = text;
        tick();
        ended(place);
      }
      stale(false);
    } catch {
      stale(true);
      await new Promise(done => setTimeout(done, 1000));
    }
  }
}

function stale(is) {
  for (const each of document.querySelectorAll(".stale")) each.hidden = !is;
}

// What is over can be acted on no more: the server refuses it, the page does not offer it.
function ended(place) {
  const state = place.querySelector("[data-held]");
  if (state === null) return;
  for (const each of document.querySelectorAll(".acts button")) each.disabled = state.dataset.held === "0";
}

function tick() {
  for (const each of document.querySelectorAll("[data-until]")) {
    const leftS = Math.round((Date.parse(each.dataset.until) - Date.now() - aheadMs) / 1000);
    const whole = Math.abs(leftS), two = number => String(number).padStart(2, "0");
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    const said = `${leftS < 0 ? "+" : "−"}${hours ? `${hours}:${two(minutes)}` : minutes}:${two(whole % 60)}`;
    if (each.textContent !== said) each.textContent = said;
  }
}

for (const place of document.querySelectorAll("[data-follow]")) follow(place);
setInterval(tick, 1000);
tick();
