// Parts of a page that the server writes, asked for again whenever something has changed. Nothing is drawn here.
"use strict";
let aheadMs = 0;                 // the server's clock against this one
let composing = false;           // Chinese is being typed: a field that is taken away now loses it

async function follow(place) {
  const inParts = "parts" in place.dataset;
  if (inParts) {
    remember(place);
    place.addEventListener("submit", event => send(place, event));
  }
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
      while (composing) await new Promise(done => setTimeout(done, 100));
      if (text !== shown) {
        if (inParts) {
          const whose = place.querySelector("[data-part=hand]");
          renew(place, parsed(text));
          // What was said of it before somebody else had it is not so any more.
          if (whose !== place.querySelector("[data-part=hand]")) tell(null, true);
        }
        else if (shown !== null || text.trim() !== place.innerHTML.trim()) place.innerHTML = text;
        shown = text;
        tick();
      }
      stale(false);
    } catch {
      stale(true);
      await new Promise(done => setTimeout(done, 1000));
    }
  }
}

// --- parts: what has not changed stays as it is, what is being typed stays typed ------------------------------

const served = new WeakMap();    // part -> as the server wrote it

function parsed(text) {
  const made = document.createElement("template");
  made.innerHTML = text;
  return made.content;
}

function remember(place) {
  for (const part of place.querySelectorAll("[data-part]:not([data-parts])")) served.set(part, part.outerHTML);
}

function renew(place, fresh) {
  const had = new Map([...place.children].map(each => [each.dataset.part, each]));
  let next = place.firstElementChild;
  for (const made of [...fresh.children]) {
    let part = had.get(made.dataset.part);
    had.delete(made.dataset.part);
    if (part === undefined) place.insertBefore(part = known(made), next);
    else if ("parts" in made.dataset) renew(part, made);
    else if (served.get(part) !== made.outerHTML) {
      const before = part;
      if (next === before) next = next.nextElementSibling;
      const field = focused(before);
      retype(before, part = known(made));
      before.replaceWith(part);
      refocus(part, field);
    }
    if (part === next) next = next.nextElementSibling;
    else if (part.nextElementSibling !== next) place.insertBefore(part, next);
  }
  for (const part of had.values()) if (typed(part)) over(part, place); else part.remove();
}

function known(part) {
  for (const each of part.querySelectorAll("[data-part]:not([data-parts])")) served.set(each, each.outerHTML);
  served.set(part, part.outerHTML);
  return part;
}

const FIELDS = "input:not([type=hidden]), select, textarea";
const named = field => `${field.form?.getAttribute("action") ?? ""} ${field.name} ${field.type === "checkbox" ? field.value : ""}`;
const fields = part => [...part.querySelectorAll(FIELDS)];
const texts = part => fields(part).filter(each => !["checkbox", "select-one", "number", "password"].includes(each.type));
const typed = part => texts(part).some(each => each.value !== "");

function retype(from, to) {
  const had = new Map(fields(from).map(each => [named(each), each]));
  for (const field of fields(to)) {
    const was = had.get(named(field));
    if (was === undefined) continue;
    if (field.type === "checkbox") field.checked = was.checked;
    else if (field.type !== "select-one" || [...field.options].some(each => each.value === was.value)) field.value = was.value;
  }
  const details = [...to.querySelectorAll("details")];
  [...from.querySelectorAll("details")].forEach((each, n) => { if (each.open && details[n]) details[n].open = true; });
}

function focused(part) {
  const at = document.activeElement;
  return part.contains(at) && at.matches(FIELDS) ? { name: named(at), from: at.selectionStart, to: at.selectionEnd } : null;
}

function refocus(part, was) {
  const field = was && fields(part).find(each => named(each) === was.name);
  if (!field) return;
  field.focus({ preventScroll: true });
  if (was.from !== null && was.from !== undefined) field.setSelectionRange(was.from, was.to);
}

// It is not to be done any more, but somebody wrote in it: the words stand there until the page is left, and
// stand in the form again where it comes back.
function over(part, place) {
  if (part.dataset.over !== undefined) return;
  part.dataset.over = "";
  served.delete(part);
  for (const each of fields(part)) {
    if (each.type === "password") each.value = "";
    if (texts(part).includes(each)) each.readOnly = true; else each.disabled = true;
  }
  for (const each of part.querySelectorAll("button")) each.disabled = true;
  const note = document.createElement("p");
  note.className = "amber";
  note.textContent = place.dataset.saidOver ?? "";
  part.prepend(note);
}

// A form is sent without leaving the page: what is typed in the others stays, and sound goes on.
async function send(place, event) {
  const form = event.target;
  event.preventDefault();
  if (form.dataset.sending !== undefined) return;
  form.dataset.sending = "";
  try {
    const body = new URLSearchParams(new FormData(form, event.submitter));
    const answer = await fetch(event.submitter?.hasAttribute("formaction") ? event.submitter.formAction : form.action, {
      method: "POST", cache: "no-store", headers: { "Accept": "text/html" }, body,
    });
    const to = new URL(answer.url);
    if (answer.redirected && to.pathname !== location.pathname) { location.assign(to); return; }
    if (answer.status === 401) { location.reload(); return; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector(`[data-follow="${CSS.escape(place.dataset.follow)}"]`);
    tell(page.querySelector("#said") ?? page.querySelector("main"), answer.ok);
    if (answer.ok) form.reset();
    if (fresh !== null) renew(place, fresh);
    tick();
  } catch {
    stale(true);
  } finally {
    delete form.dataset.sending;
  }
}

function tell(told, isDone) {
  const place = document.getElementById("said"), text = told?.textContent.trim() ?? "";
  place.className = `card ${isDone ? "green" : "amber"}`;
  place.textContent = text;
  place.hidden = text === "";
  if (!isDone) place.scrollIntoView({ block: "nearest" });
}

// --- how it stands -------------------------------------------------------------------------------------------

function stale(is) {
  for (const each of document.querySelectorAll(".stale")) each.hidden = !is;
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

document.addEventListener("compositionstart", () => { composing = true; });
document.addEventListener("compositionend", () => { composing = false; });
for (const place of document.querySelectorAll("[data-follow]")) follow(place);
setInterval(tick, 1000);
tick();
