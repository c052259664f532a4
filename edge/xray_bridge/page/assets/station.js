// The officer's page: shows the views the station pushes, says what the officer's keys mean. It decides nothing,
// and every verdict names the picture that stood on this screen when the key went down.
"use strict";
import { Darkroom, kept, placed } from "/assets/picture.js";
import { HELP, WORDS } from "/assets/words.js";

const LEAST_LOOK_MS = 250;       // a key that comes sooner was meant for the picture before
const STALE_S = 5;
const NO_ANSWER_MS = 4000;
const MODE_KEYS = ["q", "w", "e", "a", "s", "d", "f"];
const SVG = "http://www.w3.org/2000/svg";
const $ = id => document.getElementById(id);

const darkroom = new Darkroom();
const it = {
  session: null, stream: null, view: null, viewAt: 0, lostSince: 0,
  language: localStorage.getItem("language") === "en" ? 1 : 0,
  focus: 0,                      // parcel chosen with N or P; 0: the first
  screen: null,                  // {parcel, picture, since}: what is really painted
  taken: new Map(),              // parcel -> {verdict, id, at, waybill}: judged here, not yet gone from the view
  pending: new Map(),            // command id -> {what, parcel, at}
  marks: new Map(),              // picture -> [{left, top, width, height, category}]
  marking: null, picking: "",    // a region being placed; "flag" or "find" while a category is asked for
  look: { table: "", mode: "", brightness: 0, contrast: 1, edge: false },
  zoom: { scale: 1, x: 0.5, y: 0.5 }, suspect: -1, boxes: true, refs: 0,
  difference: false, differenceFailed: false,   // asked for this picture
  beside: [],                    // found by a search, shown beside
  over: "", search: { by: 0, text: "", rows: null, at: 0, busy: false },
  said: { words: "", until: 0, tone: "" }, outAsked: 0, ended: "",
};

const say = key => WORDS[key] === undefined ? key : WORDS[key][it.language];
const both = words => words === null || words === undefined ? "" : it.language === 1 ? words.en : words.zh;

function make(tag, looks, ...inside) {
  const made = document.createElement(tag);
  if (looks) made.className = looks;
  for (const each of inside) if (each !== null && each !== undefined && each !== "") made.append(each);
  return made;
}

function icon(name, tone) {
  const svg = document.createElementNS(SVG, "svg"), use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", `icon ${tone ?? ""}`);
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

const fill = (place, ...inside) => place.replaceChildren(...inside.filter(each => each !== null && each !== ""));

// Rebuilds a place only when what it shows is another: nothing flickers, nothing is read twice.
const drawn = new Map();
function when(place, key, build) {
  const said = `${it.language}|${key}`;
  if (drawn.get(place.id) === said) return;
  drawn.set(place.id, said);
  fill(place, ...build());
}

// --- asking the station ---------------------------------------------------------------------------------------

async function ask(path, body) {
  const answer = await fetch(path, {
    method: "POST", cache: "no-store", keepalive: true,
    headers: { "Content-Type": "application/json", "X-Kakou-Token": it.session?.token ?? "" },
    body: JSON.stringify(body),
  });
  const told = answer.status === 204 ? {} : await answer.json();
  return { ok: answer.ok, status: answer.status, told };
}

let commands = 0;
const RUN = Math.random().toString(36).slice(2, 10);

// One after the other, in the order of the keys: a picture is told to be on the screen before it is judged.
let sending = Promise.resolve();

function command(what, fields) {
  const id = `${it.session.desk}-${RUN}-${++commands}`;
  it.pending.set(id, { what, at: performance.now(), ...fields });
  sending = sending.then(() => sent(id, what, fields));
  return id;
}

async function sent(id, what, fields) {
  if (it.session === null) return;
  for (let tries = 0; tries < 3; tries++) {     // the same id: one effect, however often it is sent
    try {
      const { ok, told } = await ask("/v1/commands", { do: what, id, ...fields });
      if (ok) {
        if (what === "shown" || what === "touched") it.pending.delete(id);   // nobody answers these
        return;
      }
      it.pending.delete(id);
      refused(what, fields, told.words);
      return;
    } catch { await new Promise(done => setTimeout(done, 300)); }
  }
  it.pending.delete(id);
  refused(what, fields, null);
}

function refused(what, fields, words) {
  if (what === "shown" || what === "touched") return;
  if (what === "judge") { it.taken.delete(fields.parcel); it.focus = fields.parcel; }
  tell(`${say("refused")}：${words ? both(words) : say("not_sent")}`, "bad", 6000);
  show();
}

function answered(answer) {
  const asked = it.pending.get(answer.id);
  if (asked === undefined) return;
  it.pending.delete(answer.id);
  if (!answer.ok) { refused(asked.what, asked, answer.words); return; }
  if (asked.what === "undo") {
    it.taken.delete(asked.parcel);
    it.focus = asked.parcel;
    tell(say("undone"), "note");
  } else if (asked.what === "save") {
    tell(say(asked.kind === "find" ? "saved_find" : "saved_reference"), "good");
  } else if (asked.what === "wedge") tell(say(asked.on ? "wedge_asked" : "wedge_off"), "note");
  else if (asked.what === "reset") tell(say("reset_done"), "good");
  show();
}

// --- signing in and the stream --------------------------------------------------------------------------------

async function begin() {
  try {
    const answer = await fetch("/v1/session", { cache: "no-store" });
    if (answer.status === 200) { it.session = await answer.json(); listen(); return; }
  } catch { /* the form says so when it is sent */ }
  stand("sign-in");
}

function stand(state) {
  document.body.dataset.state = state;
  if (state === "sign-in") {
    $("sign-in-said").textContent = it.ended ? say(`ended_${it.ended}`) : "";
    $("officer").focus();
  }
  translate();
}

$("sign-in").addEventListener("submit", async event => {
  event.preventDefault();
  const officer = $("officer").value.trim(), pin = $("pin").value;
  if (!officer) { $("officer").focus(); return; }
  if (!pin) { $("pin").focus(); return; }
  $("pin").value = "";
  $("sign-in-said").textContent = say("signing_in");
  const asked = new URLSearchParams(location.search);
  const fields = { officer, pin, desk: asked.get("desk") ?? "", remote: asked.get("remote") !== null };
  try {
    const { ok, told } = await ask("/v1/sign_in", fields);
    if (!ok) {
      const wait = told.wait_s > 0 ? ` · ${Math.ceil(told.wait_s)} ${say("seconds")}` : "";
      $("sign-in-said").textContent = both(told.words) + wait;
      $("pin").focus();
      return;
    }
    it.session = told;
    it.ended = "";
    $("sign-in-said").textContent = "";
    listen();
  } catch { $("sign-in-said").textContent = say("not_sent"); }
});

function listen() {
  it.stream?.close();
  const stream = it.stream = new EventSource("/v1/stream");
  stream.addEventListener("view", event => {
    it.view = JSON.parse(event.data);
    it.viewAt = performance.now();
    it.lostSince = 0;
    if (document.body.dataset.state !== "desk") { document.activeElement?.blur(); stand("desk"); }
    arrived();
  });
  stream.addEventListener("answer", event => answered(JSON.parse(event.data)));
  stream.addEventListener("ended", event => leave(JSON.parse(event.data).why));
  stream.addEventListener("error", () => {
    if (it.lostSince === 0) it.lostSince = performance.now();
    if (stream.readyState === EventSource.CLOSED && it.stream === stream) setTimeout(again, 1000);
  });
}

async function again() {         // the station was restarted, or this desk's session is over
  if (it.stream?.readyState !== EventSource.CLOSED) return;
  try {
    const answer = await fetch("/v1/session", { cache: "no-store" });
    if (answer.status === 200) { it.session = await answer.json(); listen(); return; }
    if (answer.status === 204) { leave(it.ended); return; }
  } catch { /* still away */ }
  setTimeout(again, 1000);
}

function leave(why) {
  if (why === "stopping") return;             // the stream tries again by itself
  it.stream?.close();
  Object.assign(it, { stream: null, session: null, view: null, screen: null, over: "", ended: why, focus: 0 });
  for (const each of [it.taken, it.pending, it.marks]) each.clear();
  drawn.clear();
  stand("sign-in");
}

// --- what is in hand ------------------------------------------------------------------------------------------

const inHand = () => it.view === null ? [] : it.view.me.in_hand.filter(each => !it.taken.has(each.parcel));

function current() {
  const hand = inHand();
  return hand.find(each => each.parcel === it.focus) ?? hand[0] ?? null;
}

function arrived() {
  const held = new Set(it.view.me.in_hand.map(each => each.parcel));
  for (const [parcel, taken] of it.taken) {
    const asked = [...it.pending.values()].some(each => each.parcel === parcel && each.what === "judge");
    if (!held.has(parcel)) it.taken.delete(parcel);
    else if (asked && performance.now() - taken.at > NO_ANSWER_MS) {
      it.taken.delete(parcel);
      it.pending.delete(taken.id);
      it.focus = parcel;
      tell(`${say("refused")}：${say("no_answer")}`, "bad", 6000);
    }
  }
  const looks = it.view.looks;
  if (looks && looks.table !== it.look.table) {
    it.look.table = looks.table;
    if (!looks.modes.some(each => each.mode === it.look.mode)) it.look.mode = looks.modes[0].mode;
    for (const each of looks.modes) darkroom.load(looks.table, each.mode).then(show, () => {});
  }
  for (const parcel of inHand()) {            // fetched ahead: the key must not wait for the network
    if (parcel.picture) fetchAhead(parcel.picture.picture);
    for (const reference of parcel.references.slice(0, 2)) fetchAhead(reference.picture.picture);
  }
  show();
  tellShown();
}

function fetchAhead(picture) {
  if (darkroom.ready(picture) === null) {
    darkroom.film(picture).then(film => {
      const colours = darkroom.colours(it.look);
      if (colours !== null) film.developed(it.look, colours);
      show();
    }, () => {});
  }
}

// --- keys -----------------------------------------------------------------------------------------------------

function judge(verdict, category) {
  const parcel = current(), screen = it.screen;
  if (parcel === null) { tell(say("queue_empty"), "note"); return; }
  if (staleS() > STALE_S || it.lostSince > 0) { tell(say("stale"), "bad"); return; }
  const seen = screen !== null && screen.parcel === parcel.parcel && screen.picture === parcel.picture?.picture;
  if (parcel.parcel !== inHand()[0].parcel) { tell(say("first_first"), "note"); return; }
  if (!seen || performance.now() - screen.since < LEAST_LOOK_MS) { tell(say("look_first"), "note"); return; }
  if (verdict === "passed" && !parcel.may_pass) {
    tell(both(parcel.no_pass_words) || say("refused"), "warn", 4000);
    return;
  }
  performance.mark("verdict");
  const took = Math.round(performance.now() - screen.since) / 1000;
  const regions = it.marks.get(screen.picture) ?? [];
  const id = command("judge", { parcel: parcel.parcel, picture: screen.picture, verdict, category, regions, took_s: took });
  it.taken.set(parcel.parcel, { verdict, category, at: performance.now(), id, waybill: parcel.waybill_no });
  it.focus = 0;
  paintedThen("verdict");
}

// The picture first; when its frame is done, all else.
function paintedThen(began) {
  picture();
  performance.measure(`${began}-drawn`, began);
  requestAnimationFrame(() => {
    const channel = new MessageChannel();     // runs when that frame is done
    channel.port1.onmessage = () => { performance.measure(`${began}-to-next`, began); show(); };
    channel.port2.postMessage(0);
  });
}

function undo() {
  const mine = [...it.taken.entries()].at(-1);
  const known = it.view.me.judged.find(each => each.undo_left_s - sinceView() > 0);
  const parcel = mine !== undefined ? mine[0] : known?.parcel;
  if (parcel === undefined) { tell(say("nothing_to_undo"), "note"); return; }
  command("undo", { parcel });
}

function save(kind, category) {
  const parcel = current();
  if (parcel === null || it.screen === null) return;
  const regions = it.marks.get(it.screen.picture) ?? [];
  command("save", { parcel: parcel.parcel, picture: it.screen.picture, kind, category, regions });
}

function look(changes) {
  performance.mark("look");
  Object.assign(it.look, changes);
  picture();
  beside();
  requestAnimationFrame(() => { looks(); performance.measure("look-switched", "look"); });
}

function zoomTo(changes) {
  Object.assign(it.zoom, changes);
  kept(it.zoom);
  picture();
  beside();
}

function nextSuspect(step) {
  const boxes = (current()?.suspects ?? []).filter(each => each.box);
  if (boxes.length === 0) { tell(say("no_suspects"), "note"); return; }
  it.suspect += step;
  if (it.suspect < -1) it.suspect = boxes.length - 1;
  if (it.suspect >= boxes.length || it.suspect < 0) { it.suspect = -1; zoomTo({ scale: 1 }); return; }
  const box = boxes[it.suspect].box;
  zoomTo({
    scale: Math.min(6, 0.6 / Math.max(box.width, box.height, 0.1)),
    x: box.left + box.width / 2, y: box.top + box.height / 2,
  });
}

function step(by) {
  const hand = inHand();
  if (hand.length < 2) return;
  const at = hand.findIndex(each => each.parcel === current().parcel);
  it.focus = hand[(at + by + hand.length) % hand.length].parcel;
  performance.mark("step");
  paintedThen("step");
}

function mark(key, event) {
  const one = it.marking, step = 0.02 / it.zoom.scale;
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (moves[key]) {
    const [x, y] = moves[key];
    if (event.shiftKey) {
      one.width = Math.max(0.02, Math.min(1 - one.left, one.width + x * step));
      one.height = Math.max(0.02, Math.min(1 - one.top, one.height + y * step));
    } else {
      one.left = Math.max(0, Math.min(1 - one.width, one.left + x * step));
      one.top = Math.max(0, Math.min(1 - one.height, one.top + y * step));
    }
    overlay();
  } else if (key === "Enter" || /^[1-9]$/.test(key)) {
    const category = key === "Enter" ? "" : it.view.categories[Number(key) - 1]?.code ?? "";
    keepMark({ ...one, category });
  } else if (key === "Escape") endMarking();
  else return;
  event.preventDefault();
}

function keepMark(one) {
  const regions = it.marks.get(it.screen.picture) ?? [];
  it.marks.set(it.screen.picture, [...regions, rounded(one)].slice(-16));
  while (it.marks.size > 40) it.marks.delete(it.marks.keys().next().value);
  endMarking();
}

function rounded(one) {
  const share = value => Math.round(Math.max(0, Math.min(1, value)) * 10000) / 10000;
  return { left: share(one.left), top: share(one.top), width: share(one.width), height: share(one.height),
    category: one.category, note: "" };
}

function endMarking() { it.marking = null; tell("", "", 0); overlay(); }

function pick(why) { it.picking = why; tell(say(why === "flag" ? "pick_category" : "pick_find"), "note", 60000); }

function endPicking() { it.picking = ""; tell("", "", 0); }

let touchedAt = 0;

document.addEventListener("keydown", event => {
  if (event.key === "F2") { event.preventDefault(); switchLanguage(); return; }
  if (document.body.dataset.state !== "desk") return;
  if (performance.now() - touchedAt > 20000) { touchedAt = performance.now(); command("touched", {}); }
  if (it.over === "search") { searchKey(event); return; }
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (it.over === "help") {
    if (["Escape", "F1", "?", "Enter", " "].includes(key)) { event.preventDefault(); over(""); }
    return;
  }
  if (it.marking !== null) { mark(key, event); return; }
  if (it.picking && (key === "Escape" || key === "Backspace")) { event.preventDefault(); endPicking(); return; }
  const did = press(key, event);
  if (did) event.preventDefault();
});

// True where the key means something here.
function press(key, event) {
  const once = !event.repeat;    // a key held down judges one parcel, not a row of them
  const digit = /^[1-9]$/.test(key) ? it.view?.categories[Number(key) - 1] : undefined;
  const mode = MODE_KEYS.indexOf(key);
  if (it.picking === "find" && digit) { endPicking(); save("find", digit.code); return true; }
  if (digit) { if (once) { endPicking(); judge("flagged", digit.code); } return true; }
  if (mode >= 0 && it.view?.looks?.modes[mode]) { look({ mode: it.view.looks.modes[mode].mode }); return true; }
  const zoom = it.zoom, pan = 0.12 / zoom.scale, tone = it.look;
  const does = {
    " ": () => once && judge("passed", ""),
    "0": () => once && judge("recheck", ""), r: () => once && judge("recheck", ""),
    Backspace: () => once && undo(), u: () => once && undo(),
    v: () => pick("flag"), n: () => step(1), p: () => step(-1),
    g: () => look({ edge: !tone.edge }),
    "[": () => look({ brightness: Math.max(-0.5, tone.brightness - 0.05) }),
    "]": () => look({ brightness: Math.min(0.5, tone.brightness + 0.05) }),
    ";": () => look({ contrast: Math.max(0.4, tone.contrast - 0.2) }),
    "'": () => look({ contrast: Math.min(4, tone.contrast + 0.2) }),
    Home: reset, h: reset,
    "+": () => zoomTo({ scale: zoom.scale * 1.4 }), "=": () => zoomTo({ scale: zoom.scale * 1.4 }),
    "-": () => zoomTo({ scale: zoom.scale / 1.4 }),
    ArrowLeft: () => zoomTo({ x: zoom.x - pan }), ArrowRight: () => zoomTo({ x: zoom.x + pan }),
    ArrowUp: () => zoomTo({ y: zoom.y - pan }), ArrowDown: () => zoomTo({ y: zoom.y + pan }),
    Tab: () => nextSuspect(event.shiftKey ? -1 : 1),
    b: () => { it.boxes = !it.boxes; if (!it.boxes) tell(say("boxes_off"), "note"); overlay(); },
    c: () => { it.refs += 1; it.differenceFailed = false; beside(); overlay(); },
    t: () => once && toggleDifference(),
    m: startMarking,
    x: () => { if (it.screen && it.marks.delete(it.screen.picture)) { tell(say("marks_off"), "note"); overlay(); } },
    F8: () => once && save("reference", ""), F9: () => pick("find"),
    F6: () => once && command("wedge", { on: !it.view.wedge.waiting }), F7: () => once && command("reset", {}),
    F1: () => over("help"), "?": () => over("help"), F3: () => over("search"), F10: signOut,
    Escape: () => { endPicking(); it.beside = []; it.difference = false; beside(); overlay(); },
  };
  if (does[key] === undefined) return false;
  does[key]();
  return true;
}

// Asked for one picture at a time: the next one is seen as it is.
function toggleDifference() {
  if (it.screen === null) return;
  it.difference = !it.difference;
  it.differenceFailed = false;
  if (it.difference && references().length === 0) {
    it.difference = false;
    tell(say("difference_no_reference"), "note");
  }
  beside();
  overlay();
}

// What is known of it now; null while it is on its way. Comes to the screen by itself.
function differs(picture, reference) {
  if (it.differenceFailed) return null;
  const asked = darkroom.difference(picture, reference, it.look.table);
  if (asked.ready !== undefined) return asked.ready;
  if (asked.shown === undefined) {
    asked.shown = asked.then(() => {}, () => { it.differenceFailed = true; }).then(() => { beside(); overlay(); });
  }
  return null;
}

function layDifference(pen, found, at) {
  if (!found?.canvas || !at) return;
  pen.imageSmoothingEnabled = false;
  pen.drawImage(found.canvas, at.left, at.top, at.wide, at.tall);
}

function reset() {
  it.suspect = -1;
  Object.assign(it.look, { brightness: 0, contrast: 1, edge: false });
  if (it.view?.looks) it.look.mode = it.view.looks.modes[0].mode;
  Object.assign(it.zoom, { scale: 1, x: 0.5, y: 0.5 });
  look({});
}

function startMarking() {
  if (it.screen === null) return;
  const size = 0.18 / it.zoom.scale;
  it.marking = { left: it.zoom.x - size / 2, top: it.zoom.y - size / 2, width: size, height: size };
  tell(say("marking"), "note", 600000);
  overlay();
}

function signOut() {
  if (performance.now() - it.outAsked > 4000) {
    it.outAsked = performance.now();
    tell(say("sign_out_sure"), "warn", 4000);
    return;
  }
  ask("/v1/sign_out", {}).then(() => leave("asked"), () => leave("asked"));
}

function switchLanguage() {
  it.language = 1 - it.language;
  localStorage.setItem("language", it.language === 1 ? "en" : "zh");
  tell("", "", 0);
  translate();
}

function translate() {
  document.documentElement.lang = it.language === 1 ? "en" : "zh-CN";
  document.title = say("title");
  for (const each of document.querySelectorAll("[data-say]")) each.textContent = say(each.dataset.say);
  if (it.over) over(it.over);
  if (it.view !== null) show();
}

// --- the picture ----------------------------------------------------------------------------------------------

const box = canvas => ({ width: canvas.clientWidth, height: canvas.clientHeight });

function sized(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  return ratio;
}

function paint(canvas, id) {
  const ratio = sized(canvas), pen = canvas.getContext("2d", { alpha: false });
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.fillStyle = "#05080b";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  const developed = id === null ? null : darkroom.developed(id, it.look);
  if (developed === null) return null;
  const at = placed(developed, box(canvas), it.zoom);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.imageSmoothingEnabled = at.scale < 2;
  pen.imageSmoothingQuality = "low";
  pen.drawImage(developed, at.left, at.top, at.wide, at.tall);
  return at;
}

function picture() {
  const parcel = current(), id = parcel?.picture?.picture ?? null;
  if (it.screen !== null && (parcel === null || it.screen.picture !== id || it.screen.parcel !== parcel.parcel)) {
    it.screen = null;
    it.marking = null;
    it.picking = "";
    it.suspect = -1;
    Object.assign(it.zoom, { scale: 1, x: 0.5, y: 0.5 });
    it.refs = 0;
    it.beside = [];
    it.difference = false;
    it.differenceFailed = false;
  }
  const at = paint($("picture"), id);
  if (at !== null && it.screen === null) {
    it.screen = { parcel: parcel.parcel, picture: id, since: performance.now() };
    tellShown();
  }
  it.at = at;
  $("picture").dataset.picture = it.screen?.picture ?? "";
  overlay();
}

// The station counts judging time from here. It knows of a parcel in this hand only when its view says so: where
// the picture was on the screen before that, it is told once more.
function tellShown() {
  const screen = it.screen, first = it.view.me.in_hand[0];
  if (screen === null || screen.told === true) return;
  const known = first !== undefined && first.parcel === screen.parcel;
  if (screen.told === undefined || known) {
    screen.told = known;
    requestAnimationFrame(() => command("shown", { parcel: screen.parcel, picture: screen.picture }));
  }
}

function overlay() {
  const canvas = $("marks"), labels = $("labels"), parcel = current(), at = it.at;
  const ratio = sized(canvas), pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  const said = [];
  const reference = it.difference && it.screen !== null ? references()[0] : undefined;
  const found = reference === undefined ? null : differs(it.screen.picture, reference.picture);
  if (at) layDifference(pen, found, at);
  differenceSaid(reference, found);
  if (parcel !== null && at && it.screen !== null) {
    const frame = (one, colour, dash, wide) => {
      for (const [style, line, gaps] of [["#05080bb0", wide + 3, []], [colour, wide, dash]]) {
        pen.setLineDash(gaps);
        pen.strokeStyle = style;
        pen.lineWidth = line;
        pen.strokeRect(at.left + one.left * at.wide, at.top + one.top * at.tall, one.width * at.wide, one.height * at.tall);
      }
    };
    if (it.boxes) parcel.suspects.forEach((suspect, n) => {
      if (!suspect.box) return;
      frame(suspect.box, "#ffc04a", [9, 5], 2);
      if (inSight(suspect.box, at, canvas)) said.push([suspect.box, `${n + 1} ${both(suspect.words)}`, "suspect"]);
    });
    for (const one of it.marks.get(it.screen.picture) ?? []) {
      frame(one, "#7ce7ff", [], 2.5);
      const category = it.view.categories.find(each => each.code === one.category);
      if (category && inSight(one, at, canvas)) said.push([one, both(category.words), "mine"]);
    }
    if (it.marking) frame(it.marking, "#7ce7ff", [4, 3], 3);
  }
  fill(labels, ...said.map(([one, words, looks]) => {
    const label = make("span", looks, words);
    const left = at.left + one.left * at.wide, top = at.top + one.top * at.tall;
    const room = box(canvas);
    label.style.left = `${Math.max(2, Math.min(room.width - 220, left))}px`;
    label.style.top = `${Math.max(2, Math.min(room.height - 26, top > 28 ? top - 27 : top + one.height * at.tall + 3))}px`;
    label.style.maxWidth = `${room.width - 8}px`;
    return label;
  }));
  apart([...labels.children], box(canvas).height);
  scaleBar(parcel, at);
}

function differenceSaid(reference, found) {
  const key = JSON.stringify([reference?.words, it.differenceFailed, found === null, found?.why, found?.common, found?.dots]);
  when($("difference"), key, () => {
    if (reference === undefined) return [];
    const against = make("span", "", make("b", "", `${say("difference_here")} · ${reference.words}`));
    if (it.differenceFailed) return [against, make("span", "amber", say("difference_failed"))];
    if (found === null) return [against, make("span", "", say("difference_coming"))];
    if (found.why) return [against, make("span", "amber", icon("flag", "amber"), `${say("difference_no")}：${both(found.why)}`)];
    return [against,
      ...(found.dots === 0 ? [make("span", "", say("difference_none"))]
        : [make("span", "", make("i", "more"), say("difference_more")), make("span", "", make("i", "less"), say("difference_less"))]),
      make("span", "", `${say("difference_common")} ${Math.round(found.common * 100)}%`),
      make("span", "quiet", say("difference_only"))];
  });
}

function inSight(one, at, canvas) {
  const left = at.left + one.left * at.wide, top = at.top + one.top * at.tall;
  return left < canvas.clientWidth && top < canvas.clientHeight
    && left + one.width * at.wide > 0 && top + one.height * at.tall > 0;
}

// Labels that would lie on one another move apart, so that each can be read.
function apart(labels, height) {
  const lain = [];
  for (const label of labels) {
    let place = { x: label.offsetLeft, y: label.offsetTop, w: label.offsetWidth, h: label.offsetHeight };
    let down = false;
    for (let tries = 0; tries < 8; tries++) {
      const under = lain.find(o => place.x < o.x + o.w && o.x < place.x + place.w && place.y < o.y + o.h && o.y < place.y + place.h);
      if (under === undefined) break;
      // Upwards, away from what they point at, while there is room.
      const above = under.y - place.h - 2;
      place = { ...place, y: above >= 2 && !down ? above : Math.min(height - place.h, under.y + under.h + 2) };
      down ||= above < 2;
    }
    const over = place.x + place.w - (label.parentElement.clientWidth - 2);
    if (over > 0) label.style.left = `${Math.max(2, place.x - over)}px`;
    label.style.top = `${place.y}px`;
    lain.push(place);
  }
}

function scaleBar(parcel, at) {
  const place = $("scale"), each = parcel?.picture?.mm_per_column;
  if (!each || !at || it.screen === null) { place.hidden = true; return; }
  const mm = [10, 20, 50, 100, 200, 500].find(length => length / each * at.scale > 60) ?? 1000;
  place.hidden = false;
  place.style.width = `${mm / each * at.scale}px`;
  place.textContent = mm >= 100 ? `${mm / 10} cm` : `${mm} mm`;
}

function allReferences() {
  const known = (current()?.references ?? []).map(each => ({
    picture: each.picture.picture, words: both(each.words), tag: say(each.find ? "find" : "reference"), find: each.find,
  }));
  return [...it.beside.map(each => ({
    picture: each.picture, find: each.verdict === "flagged", tag: say("found_beside"),
    words: [each.waybill_no, each.goods].filter(Boolean).join(" · "),
  })), ...known];
}

const firstOf = all => all.length > 2 ? (it.refs * 2) % (all.length + all.length % 2) : 0;

// The two beside the picture; it is compared with the upper one.
function references() {
  const all = allReferences(), from = firstOf(all);
  return all.slice(from, from + 2);
}

function beside() {
  const place = $("beside"), parcel = current(), all = allReferences(), from = firstOf(all), shown = references();
  const key = JSON.stringify([parcel?.parcel, shown, all.length, from]);
  when(place, key, () => [
    make("h2", "", say("references"), make("small", "", all.length > 2 ? `${from / 2 + 1}/${Math.ceil(all.length / 2)}` : "")),
    ...shown.map(each => {
      const canvas = make("canvas", "");
      canvas.dataset.picture = each.picture;
      const tag = make("b", each.find ? "tag find" : "tag", each.find ? icon("flag", "amber") : "", each.tag);
      return make("figure", "", canvas, make("figcaption", "", tag, make("span", "", each.words)));
    }),
    all.length === 0 ? make("p", "quiet", parcel === null ? "" : say("no_references")) : "",
  ]);
  for (const canvas of place.querySelectorAll("canvas")) {
    fetchAhead(canvas.dataset.picture);
    const at = paint(canvas, canvas.dataset.picture);
    if (at && it.difference && it.screen !== null)
      layDifference(canvas.getContext("2d"), differs(canvas.dataset.picture, it.screen.picture), at);
  }
}

// --- everything else ------------------------------------------------------------------------------------------

const sinceView = () => (performance.now() - it.viewAt) / 1000;
const staleS = () => it.view === null ? 0 : it.view.stale_s + Math.max(0, sinceView() - 1.5);
const number = (value, digits) => value.toFixed(digits);

function show() {
  if (it.view === null || document.body.dataset.state !== "desk") return;
  header();
  banner();
  picture();
  beside();
  facts();
  looks();
  keys();
  strip();
  tick();
}

function lamp(place, name, tone, ...words) {
  when(place, JSON.stringify([name, tone, words.map(String)]), () => [icon(name, tone), ...words.map(w => make("span", "", w))]);
}

function header() {
  const { belt, feed, wedge, online, records_age_s: age, counts, officers, me } = it.view;
  const moves = belt.running === true;
  lamp($("at-belt"), belt.emergency ? "flag" : moves ? "go" : "stop", belt.emergency ? "red" : moves ? "green" : "amber", both(belt.words));
  lamp($("at-feed"), feed.permitted ? "ok" : "stop", feed.permitted ? "green" : "amber", say(feed.permitted ? "feed_on" : "feed_off"));
  lamp($("at-wedge"), wedge.ok ? "ok" : "flag", wedge.ok ? "green" : "amber", say(wedge.ok ? "wedge_ok" : "wedge_due"));
  $("at-wedge").title = both(wedge.words);
  const old = age === null ? "?" : age < 90 ? `${Math.round(age)} s` : age < 5400 ? `${Math.round(age / 60)} min` : `${Math.round(age / 3600)} h`;
  lamp($("at-link"), online ? "ok" : "stop", online ? "green" : "grey", say(online ? "online" : "offline"), `${say("records")} ${old}`);
  when($("at-counts"), JSON.stringify(counts), () => [
    count("pass", "green", "count_passed", counts.passed), count("flag", "amber", "count_flagged", counts.flagged),
    count("recheck", "blue", "count_recheck", counts.recheck),
  ]);
  when($("at-officers"), JSON.stringify(officers.map(each => each.desk)), () => [
    make("small", "", say("officers")), make("b", "", String(officers.length)),
  ]);
  const pace = me.pace;
  when($("at-pace"), JSON.stringify([me.officer, pace.judged, pace.median_s, Math.floor(pace.at_work_s / 60), pace.hurried, pace.rest_due]), () => [
    make("small", "", say("my_pace")), make("b", "", me.officer),
    make("span", pace.hurried ? "amber" : "", pace.median_s === null ? "" : `${number(pace.median_s, 1)} ${say("each")}`),
    make("span", "", `${pace.judged} ${say("judged_count")}`),
    make("span", pace.rest_due ? "amber" : "", `${say("at_work")} ${Math.floor(pace.at_work_s / 60)} ${say("minutes")}`),
  ]);
}

function count(name, tone, words, value) {
  return make("span", "count", icon(name, tone), make("small", "", say(words)), make("b", "", String(value)));
}

function banner() {
  const { feed, wedge, alarms, me, belt } = it.view, lines = [];
  for (const alarm of alarms.slice(-1)) lines.push(["red", "flag", both(alarm.words), alarm.detail]);
  if (belt.emergency) lines.push(["red", "flag", both(belt.words), ""]);
  const faulty = feed.why.some(each => each.code === "closed" || each.code.startsWith("fault"));
  if (!feed.permitted) lines.push([faulty ? "red" : "amber", "stop", say("feed_off"),
    feed.why.map(each => both(each.words)).join(" · ") + (faulty ? ` · F7 ${say("k_reset_line")}` : "")]);
  // In one line: a day begins with an alarm and a withheld feed above it, and no more than three are shown.
  if (wedge.waiting) lines.push(["blue", "wait", say("wedge_asked"), wedge.ok ? "" : both(wedge.words)]);
  else if (!wedge.ok) lines.push(["amber", "flag", both(wedge.words), ""]);
  if (me.pace.rest_due && me.pace.rest_words) lines.push(["amber", "wait", both(me.pace.rest_words), ""]);
  const shown = lines.slice(0, 3);
  when($("banner"), JSON.stringify(shown), () => shown.map(([tone, name, words, more]) =>
    make("p", `line ${tone}`, icon(name, tone), make("b", "", words), make("span", "", more))));
}

const MATERIALS = ["organic", "light_inorganic", "metal", "impenetrable"];

function facts() {
  const parcel = current(), place = $("facts");
  const untimed = parcel === null ? null : { ...parcel, left_s: 0 };
  when(place, JSON.stringify(untimed), () => parcel === null ? [] : [
    make("div", "who", make("b", "waybill", parcel.waybill_no || "—"),
      make("small", parcel.association === "matched" ? "" : "amber", both(parcel.association_words))),
    parcel.second_review ? make("p", "line blue", icon("recheck", "blue"), say("second_review")) : "",
    parcel.may_pass ? "" : make("p", "line amber", icon("flag", "amber"), both(parcel.no_pass_words)),
    make("h2", "", say("why")),
    make("ul", "why", ...parcel.why.slice(0, 4).map(each => make("li", "", both(each.words)))),
    parcel.suspects.length ? make("h2", "", say("suspects")) : "",
    parcel.suspects.length ? make("ol", "suspects", ...parcel.suspects.slice(0, 5).map((each, n) =>
      make("li", "", icon("flag", "amber"), make("b", "", String(n + 1)), make("span", "", both(each.words)),
        each.z === null ? "" : make("small", "", `z ${number(each.z, 1)}`)))) : "",
    ...scores(parcel),
    ...declared(parcel),
    ...materials(parcel),
  ]);
}

function scores(parcel) {
  const all = parcel.scores;
  if (!all) return [];
  const most = 8;
  return [
    make("h2", "", say("scores"), make("small", all.few ? "amber" : "", both(all.words))),
    make("div", "bars", ...all.parts.flatMap(part => {
      const bar = make("i", part.raised ? "bar raised" : "bar"), line = make("div", "track", bar, make("i", "limit"));
      bar.style.width = `${Math.max(1, Math.min(100, part.z / most * 100))}%`;
      return [make("span", part.raised ? "amber" : "", both(part.words)), line,
        make("b", part.raised ? "amber" : "", part.raised ? icon("flag", "amber") : "", number(part.z, 1))];
    })),
  ];
}

function declared(parcel) {
  const goods = parcel.goods;
  if (!goods) return [make("h2", "", say("declared")), make("p", "amber", say("goods_unknown"))];
  const notes = [];
  if (goods.control) notes.push(`${say("control")}：${goods.control}`);
  if (goods.quarantine) notes.push(say("quarantine"));
  if (goods.recalls.length) notes.push(`${say("recall")} ${goods.recalls.join(" ")}`);
  if (goods.drawn) notes.push(say("drawn"));
  if (!goods.documents_match) notes.push(say("documents"));
  const credit = goods.credit ? say(`credit_${goods.credit}`) : "";
  return [
    make("h2", "", say("declared"), make("small", "", [goods.enterprise_name || goods.enterprise, credit].filter(Boolean).join(" · "))),
    notes.length ? make("p", "line amber", icon("flag", "amber"), notes.join(" · ")) : "",
    make("table", "", ...goods.lines.slice(0, 5).map(line => make("tr", "",
      make("td", "", make("b", "", line.name), make("small", "", [line.sku, line.hs_code].filter(Boolean).join(" · "))),
      make("td", "end", `${line.quantity} ${line.unit}`)))),
    goods.lines.length > 5 ? make("p", "quiet", `+ ${goods.lines.length - 5}`) : "",
  ];
}

function materials(parcel) {
  const sizes = [];
  if (parcel.mass_kg !== null) sizes.push(["mass", `${number(parcel.mass_kg, 1)} kg`, parcel.goods?.gross_kg ? `${say("declared")} ${parcel.goods.gross_kg} kg` : ""]);
  if (parcel.length_mm !== null) sizes.push(["length", `${Math.round(parcel.length_mm)} mm`, ""]);
  if (parcel.height_mm !== null) sizes.push(["height", `${Math.round(parcel.height_mm)} mm`, ""]);
  const bar = make("div", "shares", ...MATERIALS.map(name => {
    const share = parcel.shares.find(each => each.material === name), part = make("i", name);
    part.style.flexGrow = String(share ? share.area_share : 0);
    return part;
  }));
  return [
    make("h2", "", say("measured"), make("small", "", sizes.map(each => `${say(each[0])} ${each[1]}${each[2] ? ` (${each[2]})` : ""}`).join(" · "))),
    parcel.shares.length ? bar : "",
    make("div", "legend", ...MATERIALS.flatMap(name => {
      const share = parcel.shares.find(each => each.material === name);
      return share ? [make("span", "", make("i", name), say(name), make("b", "", `${Math.round(share.area_share * 100)}%`))] : [];
    })),
    parcel.noisy ? make("p", "amber", say("picture_noisy")) : "",
  ];
}

function looks() {
  const modes = it.view.looks?.modes ?? [], tone = it.look;
  when($("looks"), JSON.stringify([modes, tone]), () => [
    ...modes.slice(0, MODE_KEYS.length).map((each, n) => make("span", each.mode === tone.mode ? "chip on" : "chip",
      make("kbd", "", MODE_KEYS[n].toUpperCase()), both(each.words))),
    make("span", tone.edge ? "chip on" : "chip", make("kbd", "", "G"), say("edge")),
    make("span", tone.brightness === 0 ? "chip" : "chip on", make("kbd", "", "[ ]"), say("brightness")),
    make("span", tone.contrast === 1 ? "chip" : "chip on", make("kbd", "", "; '"), say("contrast")),
  ]);
  const changed = [];
  if (tone.brightness !== 0) changed.push(`${say("brightness")} ${tone.brightness > 0 ? "+" : ""}${Math.round(tone.brightness * 100)}`);
  if (tone.contrast !== 1) changed.push(`${say("contrast")} ${number(tone.contrast, 1)}`);
  $("tone").textContent = changed.join(" · ");
}

function keys() {
  const parcel = current(), may = parcel === null || parcel.may_pass;
  when($("keys"), JSON.stringify([it.view.categories, may, it.picking]), () => [
    button("pass", "green", ["Space"], say("pass"), may, () => judge("passed", "")),
    make("div", it.picking ? "flags picking" : "flags", make("span", "which", icon("flag", "amber"), say("flag")),
      ...it.view.categories.slice(0, 9).map((each, n) => {
        const chip = make("button", "flagging", make("kbd", "", String(n + 1)), make("span", "", both(each.words)));
        chip.tabIndex = -1;
        chip.addEventListener("click", () => {
          const finding = it.picking === "find";
          endPicking();
          finding ? save("find", each.code) : judge("flagged", each.code);
        });
        return chip;
      })),
    button("recheck", "blue", ["0"], say("recheck"), true, () => judge("recheck", "")),
  ]);
}

function button(name, tone, kbds, words, able, press) {
  const made = make("button", able ? `big ${tone}` : `big ${tone} unable`, icon(name, tone), make("span", "", words),
    ...kbds.map(each => make("kbd", "", each)));
  made.tabIndex = -1;
  made.addEventListener("click", press);
  return made;
}

const VERDICTS = { passed: ["pass", "green", "passed"], flagged: ["flag", "amber", "flagged"], recheck: ["recheck", "blue", "rechecked"] };

function strip() {
  const parcel = current(), queue = it.view.queue.filter(each => !it.taken.has(each.parcel)).slice(0, 14);
  const own = new Set(it.view.me.in_hand.map(each => each.parcel));
  when($("queue"), JSON.stringify([parcel?.parcel, queue.map(each => [each.parcel, each.picture, each.state, each.desk]), [...own]]), () =>
    queue.map(each => {
      const tile = make("div", `tile ${each.state} ${each.parcel === parcel?.parcel ? "focus" : ""} ${own.has(each.parcel) ? "own" : ""}`);
      tile.dataset.parcel = each.parcel;
      if (each.picture) {
        const small = make("img", "");
        small.alt = "";
        small.src = `/v1/pictures/${encodeURIComponent(each.picture)}/preview.jpg`;
        tile.append(small);
      }
      tile.append(make("b", "", each.waybill_no ? each.waybill_no.slice(-6) : `#${each.parcel}`), make("span", "left", ""));
      if (own.has(each.parcel)) tile.addEventListener("click", () => { it.focus = each.parcel; show(); });
      return tile;
    }));
  const known = it.view.me.judged.filter(each => !it.taken.has(each.parcel)).map(each => ({ ...each, mine: false }));
  const fresh = [...it.taken].map(([number, each]) => ({ parcel: number, waybill_no: each.waybill, verdict: each.verdict, category: each.category, mine: true })).reverse();
  const last = [...fresh, ...known].slice(0, 2);
  when($("judged"), JSON.stringify(last.map(each => [each.parcel, each.verdict, each.category, each.undo_left_s > 0, each.outcome, each.mine])), () =>
    last.map((each, n) => {
      const [name, tone, words] = VERDICTS[each.verdict];
      const category = it.view.categories.find(one => one.code === each.category);
      const more = each.outcome === "late" ? make("span", "red", both(each.words)) : make("span", "undo", "");
      const line = make("p", n === 0 ? "verdict first" : "verdict", icon(name, tone), make("b", tone, say(words)),
        category ? make("span", "", both(category.words)) : "", make("span", "no", each.waybill_no.slice(-6)), more);
      line.dataset.parcel = each.parcel;
      return line;
    }));
}

// What runs by itself between two views: the seconds.
function tick() {
  if (document.body.dataset.state !== "desk") return;
  const lost = it.lostSince > 0 && performance.now() - it.lostSince > 1500, stale = staleS() > STALE_S;
  $("lost").hidden = !(lost || stale);
  $("desk").classList.toggle("dead", lost || stale);
  if (lost || stale) $("lost").textContent = say(lost ? "lost" : "stale");
  const now = new Date(), text = now.toLocaleTimeString("en-GB", { hour12: false });
  if ($("at-clock").textContent !== text) $("at-clock").textContent = text;
  if (performance.now() > it.said.until && it.said.words) tell("", "", 0);
  if (it.view === null) return;
  const moves = it.view.belt.running !== false, since = moves ? Math.min(sinceView(), 3) : 0;
  countdown(current(), since);
  const left = new Map(it.view.queue.map(each => [String(each.parcel), each.left_s]));
  for (const tile of $("queue").children) {
    const seconds = left.get(tile.dataset.parcel);
    const words = seconds === null || seconds === undefined ? "—" : `${Math.max(0, Math.ceil(seconds - since))} ${say("seconds")}`;
    const place = tile.querySelector(".left");
    if (place.textContent !== words) place.textContent = words;
  }
  const undo = new Map(it.view.me.judged.map(each => [String(each.parcel), each.undo_left_s]));
  for (const line of $("judged").children) {
    const place = line.querySelector(".undo");
    if (place === null) continue;
    const local = it.taken.get(Number(line.dataset.parcel));
    const seconds = local ? 5 - (performance.now() - local.at) / 1000 : (undo.get(line.dataset.parcel) ?? 0) - sinceView();
    const key = seconds > 0 ? String(Math.ceil(seconds)) : "";
    if (place.dataset.key === key + it.language) continue;
    place.dataset.key = key + it.language;
    fill(place, ...(key ? [make("kbd", "", "⌫"), `${say("undo")} ${key} ${say("seconds")}`] : []));
  }
  const empty = current() === null;
  $("empty").hidden = !(empty || it.screen === null);
  if (empty) when($("empty"), "empty", () => [make("b", "", say("queue_empty")), make("span", "", say("queue_empty_more"))]);
  else if (it.screen === null) when($("empty"), "loading", () => [make("b", "", say(current().picture ? "loading" : "no_picture"))]);
}

function countdown(parcel, since) {
  const bar = $("countdown-bar"), place = $("countdown"), words = $("countdown-words");
  if (parcel === null) { place.className = "none"; words.textContent = ""; bar.style.transform = "scaleX(0)"; return; }
  if (parcel.left_s === null) {
    place.className = "still";
    words.textContent = say(it.view.belt.running === false ? "belt_stands" : "no_limit");
    bar.style.transform = "scaleX(1)";
    return;
  }
  const left = parcel.left_s - since, of = parcel.of_s || 20;
  place.className = left <= 0 ? "late" : left < 4 ? "soon" : "time";
  bar.style.transform = `scaleX(${Math.max(0, Math.min(1, left / of))})`;
  const seconds = `${number(Math.max(0, left), 1)} ${say("seconds")}`;
  words.textContent = left <= 0 ? say("too_late") : it.language === 1 ? `${seconds} ${say("to_diverter")}` : `${say("to_diverter")} ${seconds}`;
}

function tell(words, tone, ms = 2500) {
  it.said = { words, tone, until: performance.now() + ms };
  const place = $("said");
  place.className = tone;
  fill(place, ...(words ? [icon({ bad: "flag", warn: "flag", good: "pass", note: "ok" }[tone] ?? "ok", { bad: "red", warn: "amber", good: "green" }[tone] ?? "blue"), make("span", "", words)] : []));
}

// --- help and search ------------------------------------------------------------------------------------------

function over(what) {
  it.over = what;
  const place = $("over");
  place.hidden = what === "";
  place.className = what;
  if (what === "help") {
    fill(place, make("div", "card", make("h1", "", say("help_title")),
      make("dl", "", ...HELP.flatMap(([key, words]) => [
        make("dt", "", ...key.split("  ").map(each => make("kbd", "", each))), make("dd", "", say(words))])),
      make("p", "quiet", make("kbd", "", "Esc"), ` ${say("close").replace("Esc ", "")}`)));
  } else if (what === "search") searchCard();
  else { fill(place); document.activeElement?.blur(); }
}

function localTime(utc) {
  const at = new Date(utc);
  if (!utc || Number.isNaN(at.getTime())) return "";
  const fields = { dateStyle: "short", timeStyle: "short", hour12: false };
  try {
    return at.toLocaleString(it.language === 1 ? "en-GB" : "zh-CN", { ...fields, timeZone: it.view.zone || "UTC" });
  } catch { return at.toLocaleString("zh-CN", fields); }
}

const BY = ["waybill", "sku", "enterprise", "picture"];

function startText() {
  const parcel = current();
  if (parcel === null) return "";
  return [parcel.waybill_no, parcel.goods?.lines[0]?.sku ?? "", parcel.goods?.enterprise ?? "", parcel.picture?.picture ?? ""][it.search.by];
}

function searchCard() {
  const { by, rows, at, busy } = it.search;
  const input = make("input", "");
  input.id = "search-text";
  input.maxLength = 80;
  input.value = it.search.text || startText();
  input.addEventListener("input", () => { it.search.text = input.value; });
  const table = make("div", "rows", ...(rows ?? []).map((row, n) => {
    const small = make("img", "");
    small.alt = "";
    small.src = `/v1/pictures/${encodeURIComponent(row.picture)}/preview.jpg`;
    const [name, tone, words] = VERDICTS[row.verdict] ?? ["ok", "grey", ""];
    const category = it.view.categories.find(each => each.code === row.category);
    return make("div", n === at ? "row focus" : "row", small,
      make("div", "", make("b", "", row.waybill_no), make("small", "", localTime(row.utc))),
      make("div", "", make("span", "", row.goods), make("small", "", [row.sku, row.enterprise].filter(Boolean).join(" · "))),
      make("div", "", icon(name, tone), make("span", "", [words ? say(words) : "", category ? both(category.words) : ""].filter(Boolean).join(" · ")),
        row.distance === null ? "" : make("small", "", `${say("distance")} ${number(row.distance, 2)}`)));
  }));
  fill($("over"), make("div", "card wide", make("h1", "", say("search")),
    make("div", "tabs", ...BY.map((each, n) => make("span", n === by ? "chip on" : "chip", say(`by_${each}`)))),
    input,
    busy ? make("p", "quiet", say("searching")) : rows !== null && rows.length === 0 ? make("p", "quiet", say("found_none")) : table,
    make("p", "quiet", say("search_hint"))));
  input.focus();
  input.select();
  table.querySelector(".focus")?.scrollIntoView({ block: "nearest" });
}

function searchKey(event) {
  const search = it.search, key = event.key;
  if (key === "Escape") over("");
  else if (key === "Tab") {
    search.by = (search.by + (event.shiftKey ? BY.length - 1 : 1)) % BY.length;
    Object.assign(search, { text: "", rows: null, at: 0 });
    searchCard();
  } else if (key === "ArrowDown" || key === "ArrowUp") {
    if (!search.rows?.length) return;
    search.at = (search.at + (key === "ArrowDown" ? 1 : search.rows.length - 1)) % search.rows.length;
    searchCard();
  } else if (key === "F3") {
    const row = search.rows?.[search.at];
    if (row) { it.beside = [row]; it.refs = 0; it.differenceFailed = false; over(""); beside(); overlay(); }
  } else if (key === "Enter") runSearch();
  else return;
  event.preventDefault();
}

async function runSearch() {
  const search = it.search, text = $("search-text").value.trim();
  if (!text) return;
  Object.assign(search, { text, busy: true, rows: null, at: 0 });
  searchCard();
  try {
    const answer = await fetch(`/v1/search?by=${BY[search.by]}&text=${encodeURIComponent(text)}`, { cache: "no-store" });
    search.rows = answer.ok ? (await answer.json()).rows : [];
  } catch { search.rows = []; }
  search.busy = false;
  if (it.over === "search") searchCard();
}

// --- mouse, where one is there --------------------------------------------------------------------------------

let drag = null;
const share = event => {
  const room = $("stage").getBoundingClientRect(), at = it.at;
  return at ? { x: (event.clientX - room.left - at.left) / at.wide, y: (event.clientY - room.top - at.top) / at.tall } : null;
};
$("stage").addEventListener("wheel", event => {
  event.preventDefault();
  zoomTo({ scale: it.zoom.scale * (event.deltaY < 0 ? 1.2 : 1 / 1.2) });
}, { passive: false });
$("stage").addEventListener("pointerdown", event => {
  const from = share(event);
  if (from && it.screen !== null) drag = { from, zoom: { ...it.zoom } };
});
window.addEventListener("pointermove", event => {
  const to = drag === null ? null : share(event);
  if (!to) return;
  if (it.marking !== null) {
    const { from } = drag;
    it.marking = rounded({ left: Math.min(from.x, to.x), top: Math.min(from.y, to.y),
      width: Math.max(0.01, Math.abs(to.x - from.x)), height: Math.max(0.01, Math.abs(to.y - from.y)), category: "" });
    overlay();
  } else if (it.zoom.scale > 1) zoomTo({ x: it.zoom.x + drag.from.x - to.x, y: it.zoom.y + drag.from.y - to.y });
});
window.addEventListener("pointerup", () => {
  if (drag !== null && it.marking !== null && it.screen !== null) keepMark({ ...it.marking, category: "" });
  drag = null;
});
window.addEventListener("resize", show);

setInterval(tick, 100);
translate();
begin();
