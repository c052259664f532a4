// Judging from the centre: shows the views the station pushes and says what the officer's keys mean. It decides
// nothing; every verdict names the picture that stood on this screen when the key went down.
"use strict";
const LEAST_LOOK_MS = 250;       // a key that comes sooner was meant for the picture before
const STALE_S = 5;
const KEPT = 16;
const MODE_KEYS = ["q", "w", "e", "a", "s", "d", "f"];
const root = document.getElementById("judging");
const base = `/judging/${encodeURIComponent(root.dataset.station)}`;
const words = JSON.parse(root.dataset.words), language = Number(root.dataset.language);
const csrf = document.body.dataset.csrf;
const $ = id => document.getElementById(id);
const say = (key, ...more) => more.reduce((text, each, n) => text.replace(`{${n}}`, each), words[key][language]);
const both = text => !text ? "" : language === 1 ? text.en : text.zh;

const it = {
  view: null, viewAt: 0, lost: true, ended: "", screen: null, taken: new Map(), pending: new Map(),
  of: 0, difference: false, reference: 0,        // asked for this parcel, against which of its references
  look: { mode: "", brightness: 0, contrast: 1 }, zoom: { scale: 1, x: 0.5, y: 0.5 }, suspect: -1, boxes: true,
  told: "", toldUntil: 0, touchedAt: 0,
};

function make(tag, looks, ...inside) {
  const made = document.createElement(tag);
  if (looks) made.className = looks;
  for (const each of inside) if (each !== null && each !== undefined && each !== "") made.append(each);
  return made;
}

const drawn = new Map();
function when(place, key, build) {
  if (drawn.get(place.id) === key) return;
  drawn.set(place.id, key);
  place.replaceChildren(...build().filter(each => each));
}

function tell(text) { it.told = text; it.toldUntil = performance.now() + 5000; $("said").textContent = text; }

// --- pictures: one look-up a dot, as at the station's own page --------------------------------------------------

const films = new Map(), tables = new Map(), tints = new Map();

function keep(map, key, start) {
  let found = map.get(key);
  if (found === undefined) {
    found = { ready: null, failed: false };
    map.set(key, found);
    start().then(made => { found.ready = made; show(); }, () => { if (map.get(key) === found) map.delete(key); });
    while (map.size > KEPT) map.delete(map.keys().next().value);
  }
  return found.ready;
}

function film(picture) {
  return keep(films, picture, async () => {
    const answer = await fetch(`${base}/pictures/${encodeURIComponent(picture)}/planes.png`);
    if (!answer.ok) throw new Error(String(answer.status));
    const bitmap = await createImageBitmap(await answer.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const { width, height } = bitmap, canvas = new OffscreenCanvas(width, height);
    const pen = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    pen.drawImage(bitmap, 0, 0);
    bitmap.close();
    const bytes = pen.getImageData(0, 0, width, height).data, cells = new Uint16Array(width * height);
    for (let at = 0, from = 0; at < cells.length; at++, from += 4) cells[at] = (bytes[from] << 8) | bytes[from + 1];
    return { width, height, cells, pen, canvas, key: "" };
  });
}

// Where a picture differs from a reference: the station works it out. Another table is another calibration.
const differences = new Map();

const chosen = parcel => parcel.references[it.reference % Math.max(1, parcel.references.length)] ?? null;

function differs(parcel) {
  const one = parcel.picture?.picture, other = chosen(parcel)?.picture.picture;
  if (!one || !other) return null;
  const path = `${base}/pictures/${encodeURIComponent(one)}/differences/${encodeURIComponent(other)}`;
  return keep(differences, `${it.view.looks?.table}/${path}`, async () => {
    const answer = await fetch(path, { cache: "no-store" });
    if (answer.status === 422) return { why: (await answer.json()).words };
    if (!answer.ok) return { failed: true };
    const bitmap = await createImageBitmap(await answer.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const { width, height } = bitmap, canvas = new OffscreenCanvas(width, height), pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(bitmap, 0, 0);
    bitmap.close();
    const image = pen.getImageData(0, 0, width, height), bytes = image.data;
    for (let at = 0; at < bytes.length; at += 4) {
      const more = bytes[at], less = bytes[at + 1], dot = at / 4, striped = ((dot % width + Math.floor(dot / width)) >> 2) % 2 === 0;
      const strength = 90 + 0.6 * Math.max(more, less);
      // More: one tint. Less: stripes of another.
      bytes[at] = more >= less ? 255 : 90;
      bytes[at + 1] = more >= less ? 40 : 240;
      bytes[at + 2] = 255;
      bytes[at + 3] = more > 0 && more >= less ? strength : less > 0 && striped ? strength + 40 : 0;
    }
    pen.putImageData(image, 0, 0);
    return { canvas, common: Number(answer.headers.get("X-Kakou-Common")) };
  });
}

function differenceSaid(parcel) {
  const against = chosen(parcel), found = it.difference && against !== null ? differs(parcel) : null;
  if (!it.difference || against === null) return [];
  return [
    make("h2", "", say("difference", both(against.words))),
    ...(found === null ? [make("div", "quiet", say("difference_coming"))] : found.failed ? [make("div", "amber", say("difference_failed"))]
      : found.why ? [make("div", "amber", `${say("difference_no")}: ${both(found.why)}`)]
      : [make("div", "", `${say("difference_more")} · ${say("difference_less")} · ${say("difference_common", Math.round(found.common * 100))}`),
        make("div", "quiet", say("difference_only"))]),
  ];
}

function toggleDifference() {
  const parcel = current();
  if (parcel === null) return;
  if (parcel.references.length === 0) { tell(say("difference_no_reference")); return; }
  it.difference = !it.difference;
  if (it.difference) for (const [key, each] of differences) if (each.ready?.failed) differences.delete(key);
  show();
}

function colours() {
  const looks = it.view?.looks;
  if (!looks) return null;
  const mode = looks.modes.some(each => each.mode === it.look.mode) ? it.look.mode : looks.modes[0].mode;
  it.look.mode = mode;
  const table = keep(tables, `${looks.table}/${mode}`, async () => {
    const answer = await fetch(`${base}/tables/${encodeURIComponent(looks.table)}/${encodeURIComponent(mode)}`);
    if (!answer.ok) throw new Error(String(answer.status));
    return new Uint8Array(await answer.arrayBuffer());
  });
  if (table === null) return null;
  const key = `${looks.table}/${mode}/${it.look.brightness}/${it.look.contrast}`;
  if (!tints.has(key)) {
    const tone = Uint8Array.from({ length: 256 }, (_, level) =>
      Math.max(0, Math.min(255, Math.round((((level / 255) - 0.5) * it.look.contrast + 0.5 + it.look.brightness) * 255))));
    const made = new Uint32Array(65536);
    for (let cell = 0, at = 0; cell < 65536; cell++, at += 4)
      made[cell] = 0xff000000 | (tone[table[at + 2]] << 16) | (tone[table[at + 1]] << 8) | tone[table[at]];
    if (tints.size > 24) tints.clear();
    tints.set(key, made);
  }
  return { key, made: tints.get(key) };
}

function paint() {
  const parcel = current(), canvas = $("picture"), box = canvas.getBoundingClientRect(), pen = canvas.getContext("2d");
  const wide = Math.round(box.width), tall = Math.round(box.height);
  if (canvas.width !== wide || canvas.height !== tall) { canvas.width = wide; canvas.height = tall; }
  const named = parcel?.picture?.picture, found = named ? film(named) : null, tint = colours();
  const said = parcel === null ? say("empty") : !named ? say("no_picture") : found === null || tint === null ? say("loading") : "";
  $("over-picture").textContent = said;
  pen.clearRect(0, 0, wide, tall);
  if (said) { it.screen = null; canvas.dataset.picture = ""; return; }
  if (found.key !== tint.key) {
    const image = found.pen.createImageData(found.width, found.height), dots = new Uint32Array(image.data.buffer);
    for (let at = 0; at < found.cells.length; at++) dots[at] = tint.made[found.cells[at]];
    found.pen.putImageData(image, 0, 0);
    found.key = tint.key;
  }
  const scale = Math.min(wide / found.width, tall / found.height) * it.zoom.scale;
  const left = wide / 2 - it.zoom.x * found.width * scale, top = tall / 2 - it.zoom.y * found.height * scale;
  pen.drawImage(found.canvas, left, top, found.width * scale, found.height * scale);
  const laid = it.difference ? differs(parcel) : null;
  if (laid?.canvas) {
    pen.imageSmoothingEnabled = false;
    pen.drawImage(laid.canvas, left, top, found.width * scale, found.height * scale);
    pen.imageSmoothingEnabled = true;
  }
  if (it.boxes) {
    pen.lineWidth = 3;
    pen.strokeStyle = "#b86e00";
    for (const { box: each } of parcel.suspects) if (each)
      pen.strokeRect(left + each.left * found.width * scale, top + each.top * found.height * scale,
        each.width * found.width * scale, each.height * found.height * scale);
  }
  if (it.screen?.parcel !== parcel.parcel || it.screen?.picture !== named) {
    it.screen = { parcel: parcel.parcel, picture: named, since: performance.now() };
    requestAnimationFrame(() => requestAnimationFrame(() => {
      if (it.screen?.picture === named) command("shown", { parcel: parcel.parcel, picture: named });
    }));
  }
  canvas.dataset.picture = named;
}

// --- what is shown ----------------------------------------------------------------------------------------------

const inHand = () => it.view === null ? [] : it.view.me.in_hand.filter(each => !it.taken.has(each.parcel));
const current = () => inHand()[0] ?? null;
const sinceView = () => (performance.now() - it.viewAt) / 1000;
const staleS = () => it.view === null ? 0 : it.view.stale_s + sinceView();
const mayJudge = () => !it.lost && !it.ended && it.view !== null && staleS() <= STALE_S;

function show() {
  const of = current()?.parcel ?? 0;
  if (of !== it.of) Object.assign(it, { of, difference: false, reference: 0 });
  paint();
  const view = it.view;
  $("banner").textContent = it.ended ? say("ended", words[`ended_${it.ended}`] ? say(`ended_${it.ended}`) : it.ended) : it.lost ? say(view === null ? "connecting" : "lost")
    : staleS() > STALE_S ? say("stale", Math.round(staleS())) : "";
  if (view === null) return;
  $("belt").textContent = both(view.belt.words);
  $("feed").textContent = view.feed.why.map(each => both(each.words)).join(" · ");
  $("feed").className = view.feed.permitted ? "" : "amber";
  $("wedge").textContent = both(view.wedge.words);
  $("wedge").className = view.wedge.ok ? "" : "amber";
  $("pace").textContent = say("pace", view.me.pace.judged, view.me.pace.median_s === null ? "–" : view.me.pace.median_s.toFixed(1));
  about(current());
  verdicts(current());
  when($("modes"), JSON.stringify([view.looks, it.look.mode]), () => (view.looks?.modes ?? []).slice(0, 7).map((each, n) => {
    const button = make("button", "", make("kbd", "", MODE_KEYS[n].toUpperCase()), " ", both(each.words));
    button.setAttribute("aria-pressed", String(each.mode === it.look.mode));
    button.addEventListener("click", () => { it.look.mode = each.mode; show(); });
    return button;
  }));
  when($("judged"), JSON.stringify(view.me.judged), () => view.me.judged.slice(0, 6).map(each =>
    make("span", "chip", `${each.waybill_no || each.parcel} · ${verdictWords(each.verdict)} · ${both(each.words)}`)));
  $("queue-count").textContent = String(view.queue.length);
  when($("queue"), JSON.stringify(view.queue.map(each => [each.parcel, each.desk, each.state])), () => view.queue.slice(0, 14).map(each =>
    make("span", each.desk === view.me.desk ? "chip mine" : "chip", `${each.waybill_no || each.parcel}${each.desk ? ` · ${each.desk}` : ""}`)));
}

const verdictWords = verdict => say(verdict);

function about(parcel) {
  const difference = parcel === null ? [] : differenceSaid(parcel);
  const told = difference.map(each => each.textContent);
  when($("about"), parcel === null ? "" : JSON.stringify([{ ...parcel, left_s: 0 }, told, it.difference, it.reference]), () => {
    if (parcel === null) return [];
    const lines = parcel.goods?.lines ?? [];
    // First what every parcel is judged by: what is declared, what is suspect, what its like looks like.
    const group = (title, ...inside) => make("section", "", title ? make("h2", "", say(title)) : null, ...inside);
    return [
      make("h2", "", `${say("waybill")} `, make("span", "waybill", parcel.waybill_no || both(parcel.association_words))),
      parcel.second_review || parcel.no_pass_words ? group("", parcel.second_review ? make("p", "amber", say("second_review")) : null,
        parcel.no_pass_words ? make("p", "amber", both(parcel.no_pass_words)) : null) : null,
      parcel.goods || parcel.mass_kg !== null ? group(lines.length ? "declared" : "", ...lines.map(each => make("div", "", `${each.name} × ${each.quantity} ${each.unit}`)),
        parcel.mass_kg !== null ? make("div", "quiet", `${say("mass")} ${parcel.mass_kg.toFixed(2)} / ${parcel.goods?.gross_kg ?? "–"} kg`) : null,
        parcel.goods ? make("div", "quiet", `${say("enterprise")} ${parcel.goods.enterprise} ${parcel.goods.enterprise_name ?? ""}`) : null) : null,
      parcel.suspects.length ? group("suspects", ...parcel.suspects.map(each => make("div", "amber", both(each.words)))) : null,
      parcel.references.length ? group("references", make("div", "references", ...parcel.references.map(each => {
        const img = make("img");
        img.src = `${base}/pictures/${encodeURIComponent(each.picture.picture)}/preview.jpg`;
        img.alt = both(each.words);
        img.title = both(each.words);
        if (it.difference) img.setAttribute("aria-current", String(each === chosen(parcel)));
        return img;
      }))) : null,
      difference.length ? group("", ...difference) : null,
      parcel.why.length ? group("why", ...parcel.why.map(each => make("div", "", both(each.words)))) : null,
      parcel.scores ? group("compared", make("div", "", both(parcel.scores.words)),
        ...(parcel.scores.parts ?? []).map(each => make("div", each.raised ? "amber" : "quiet", both(each.words)))) : null,
    ];
  });
}

function verdicts(parcel) {
  const categories = it.view.categories.slice(0, 9);
  when($("verdicts"), JSON.stringify([categories, parcel?.may_pass]), () => [
    button("Space", say("pass"), () => judge("passed", "")), ...categories.map((each, n) =>
      button(String(n + 1), both(each.words), () => judge("flagged", each.code))),
    button("0", say("recheck"), () => judge("recheck", "")), button("⌫", say("undo"), undo),
  ]);
  countdown(parcel);
}

function button(key, text, act) {
  const made = make("button", "", make("kbd", "", key), " ", text);
  made.addEventListener("click", () => { made.blur(); act(); });
  return made;
}

function countdown(parcel) {
  const left = parcel?.left_s;
  $("countdown").textContent = parcel === null ? "" : left === null || left === undefined ? say("stands_still")
    : left - sinceView() < 0 ? say("late") : `${(left - sinceView()).toFixed(1)} s ${say("left")}`;
  if (performance.now() > it.toldUntil && it.told) { it.told = ""; $("said").textContent = ""; }
}

// --- what is said -----------------------------------------------------------------------------------------------

const RUN = Math.random().toString(36).slice(2, 10);
let commands = 0, sending = Promise.resolve();

function command(what, fields) {
  const id = `c-${RUN}-${++commands}`;
  it.pending.set(id, { what, ...fields });
  sending = sending.then(() => sent(id, what, fields));
}

async function sent(id, what, fields) {
  for (let tries = 0; tries < 3; tries++) {     // the same id: one effect, however often it is sent
    try {
      const answer = await fetch(`${base}/commands`, {
        method: "POST", cache: "no-store", headers: { "Content-Type": "application/json", "X-Kakou-Token": csrf },
        body: JSON.stringify({ do: what, id, ...fields }),
      });
      if (answer.status === 502) throw new Error("away");
      if (answer.ok) { if (what === "shown" || what === "touched") it.pending.delete(id); return; }
      it.pending.delete(id);
      let told = null;
      try { told = await answer.json(); } catch { /* no words */ }
      refused(what, fields, told?.words);
      return;
    } catch { await new Promise(done => setTimeout(done, 300)); }
  }
  it.pending.delete(id);
  refused(what, fields, null);
}

function refused(what, fields, text) {
  if (what === "shown" || what === "touched") return;
  it.taken.delete(fields.parcel);
  tell(`${say("refused")}: ${text ? both(text) : say("not_sent")}`);
  show();
}

function answered(answer) {
  const asked = it.pending.get(answer.id);
  if (asked === undefined) return;
  it.pending.delete(answer.id);
  if (!answer.ok) { refused(asked.what, asked, answer.words); return; }
  if (asked.what === "undo") it.taken.delete(asked.parcel);
  show();
}

function judge(verdict, category) {
  const parcel = current(), screen = it.screen;
  if (parcel === null) { tell(say("empty")); return; }
  if (!mayJudge()) { tell(say("lost")); return; }
  const seen = screen !== null && screen.parcel === parcel.parcel && screen.picture === parcel.picture?.picture;
  if (!seen || performance.now() - screen.since < LEAST_LOOK_MS) { tell(say("look_first")); return; }
  if (verdict === "passed" && !parcel.may_pass) { tell(both(parcel.no_pass_words) || say("refused")); return; }
  const took_s = Math.round(performance.now() - screen.since) / 1000;
  it.taken.set(parcel.parcel, performance.now());
  command("judge", { parcel: parcel.parcel, picture: screen.picture, verdict, category, took_s });
  Object.assign(it, { suspect: -1, zoom: { scale: 1, x: 0.5, y: 0.5 } });
  show();
}

function undo() {
  const mine = [...it.taken.keys()].at(-1);
  const parcel = mine ?? it.view?.me.judged.find(each => each.undo_left_s - sinceView() > 0)?.parcel;
  if (parcel === undefined) { tell(say("nothing_to_undo")); return; }
  command("undo", { parcel });
}

function zoom(changes) {
  const to = Object.assign(it.zoom, changes);
  to.scale = Math.max(1, Math.min(16, to.scale));
  const half = 0.5 / to.scale;
  to.x = Math.max(half, Math.min(1 - half, to.x));
  to.y = Math.max(half, Math.min(1 - half, to.y));
  show();
}

function nextSuspect(step) {
  const boxes = (current()?.suspects ?? []).filter(each => each.box);
  if (!boxes.length) return;
  it.suspect = (it.suspect + 1 + step + boxes.length + 1) % (boxes.length + 1) - 1;
  if (it.suspect < 0) { zoom({ scale: 1 }); return; }
  const box = boxes[it.suspect].box;
  zoom({ scale: Math.min(6, 0.6 / Math.max(box.width, box.height, 0.1)), x: box.left + box.width / 2, y: box.top + box.height / 2 });
}

function tone(changes) {
  for (const [name, by] of Object.entries(changes)) it.look[name] = Math.round((it.look[name] + by) * 100) / 100;
  it.look.brightness = Math.max(-0.5, Math.min(0.5, it.look.brightness));
  it.look.contrast = Math.max(0.4, Math.min(3, it.look.contrast));
  show();
}

const KEYS = {
  " ": () => judge("passed", ""), "0": () => judge("recheck", ""), r: () => judge("recheck", ""), backspace: undo, u: undo,
  t: toggleDifference, c: () => { it.reference += 1; show(); },
  b: () => { it.boxes = !it.boxes; show(); }, "+": () => zoom({ scale: it.zoom.scale * 1.4 }), "=": () => zoom({ scale: it.zoom.scale * 1.4 }),
  "-": () => zoom({ scale: it.zoom.scale / 1.4 }), arrowleft: () => zoom({ x: it.zoom.x - 0.1 / it.zoom.scale }),
  arrowright: () => zoom({ x: it.zoom.x + 0.1 / it.zoom.scale }), arrowup: () => zoom({ y: it.zoom.y - 0.1 / it.zoom.scale }),
  arrowdown: () => zoom({ y: it.zoom.y + 0.1 / it.zoom.scale }), "[": () => tone({ brightness: -0.05 }), "]": () => tone({ brightness: 0.05 }),
  ";": () => tone({ contrast: -0.1 }), "'": () => tone({ contrast: 0.1 }),
  h: () => { Object.assign(it.look, { brightness: 0, contrast: 1 }); zoom({ scale: 1 }); },
};

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, form")) return;
  const key = event.key.toLowerCase(), mode = MODE_KEYS.indexOf(key), number = Number(event.key);
  const act = key === "tab" ? () => nextSuspect(event.shiftKey ? -1 : 1)
    : mode >= 0 ? () => { const found = it.view?.looks?.modes[mode]; if (found) { it.look.mode = found.mode; show(); } }
    : number >= 1 && number <= 9 && event.key.length === 1 ? () => { const found = it.view?.categories[number - 1]; if (found) judge("flagged", found.code); }
    : KEYS[key];
  if (act === undefined) return;
  event.preventDefault();
  if (event.repeat && ![..."+-[];'=", "arrowleft", "arrowright", "arrowup", "arrowdown"].includes(key)) return;   // a key held down judges one parcel
  act();
  if (performance.now() - it.touchedAt > 20000) { it.touchedAt = performance.now(); command("touched", {}); }
});

// --- the stream -------------------------------------------------------------------------------------------------

function listen() {
  const stream = new EventSource(`${base}/stream`);
  stream.addEventListener("view", event => {
    Object.assign(it, { view: JSON.parse(event.data), viewAt: performance.now(), lost: false });
    const held = new Set(it.view.me.in_hand.map(each => each.parcel));
    for (const parcel of it.taken.keys()) {
      const asked = [...it.pending.values()].some(each => each.parcel === parcel && each.what === "judge");
      if (!held.has(parcel) || (asked && performance.now() - it.taken.get(parcel) > 4000)) it.taken.delete(parcel);
    }
    for (const parcel of inHand()) if (parcel.picture) film(parcel.picture.picture);   // fetched ahead
    show();
  });
  stream.addEventListener("answer", event => answered(JSON.parse(event.data)));
  stream.addEventListener("ended", event => { it.ended = JSON.parse(event.data).why; stream.close(); show(); setTimeout(() => location.reload(), 2000); });
  stream.addEventListener("error", () => {
    it.lost = true;
    show();
    // Refused, not cut: whether the desk is still ours, the page says when it is written anew.
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 2000);
  });
}

setInterval(() => { countdown(current()); if (it.view !== null && staleS() > STALE_S) show(); }, 200);
addEventListener("resize", show);
listen();
