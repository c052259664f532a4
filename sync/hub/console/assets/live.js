// Sound of a handheld, when it is asked for: samples the server decoded, played one after the other.
"use strict";
const RATE = 8000, LATEST_S = 1.0;
let playing = null;              // the AudioContext while sound is on

const button = () => document.getElementById("hear");

function hush() {
  playing?.close();
  playing = null;
  button().textContent = button().dataset.on;
}

// The button may be another one by now: the page's parts are written anew.
document.addEventListener("click", event => {
  if (event.target !== button()) return;
  if (playing !== null) { hush(); return; }
  playing = new AudioContext();
  button().textContent = button().dataset.off;
  listen(playing);
});

async function listen(context) {
  let after = -1, due = 0;
  while (playing === context) {
    const hear = button();
    if (hear.disabled) { hush(); return; }
    try {
      const answer = await fetch(`/live/${encodeURIComponent(hear.dataset.device)}/sound?after=${after}`, {
        cache: "no-store", headers: { "Accept": "application/json", "X-Kakou-Watching": "1" },
      });
      if (!answer.ok) throw new Error(String(answer.status));
      after = Number(answer.headers.get("X-Kakou-Next"));
      if (playing === context) hear.textContent = hear.dataset.off;
      const codes = new Int16Array(await answer.arrayBuffer());
      if (codes.length === 0 || playing !== context) continue;
      const buffer = context.createBuffer(1, codes.length, RATE);
      buffer.copyToChannel(Float32Array.from(codes, code => code / 32768), 0);
      const source = context.createBufferSource();
      source.buffer = buffer;
      source.connect(context.destination);
      // Behind, or so far ahead that it would be old: begin again a little after now.
      if (due < context.currentTime || due > context.currentTime + LATEST_S) due = context.currentTime + 0.15;
      source.start(due);
      due += buffer.duration;
      hear.dataset.heard = String(Number(hear.dataset.heard ?? 0) + codes.length);
    } catch {
      if (playing === context) hear.textContent = hear.dataset.lost;
      await new Promise(done => setTimeout(done, 1000));
    }
  }
}
