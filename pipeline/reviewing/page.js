"use strict";
const get = (id) => document.getElementById(id);
const make = (tag, text, kind) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
};

const QUESTIONS = {
  conflict: "One {noun}, several labels. Which is right?",
  near_labels: "Nearly the same {noun}, two labels. Is this one right?",
  label: "Is the label right?",
  look_alike: "Do both belong into the data?",
  near_across: "Do both belong into the data?",
  near_dropped: "Left out: nearly the same stands in another split. Keep it all the same?",
  no_label: "It has no label. Which one is right?",
  too_small: "Left out as too small. Keep it all the same?",
  aspect: "Left out as too long and thin. Keep it all the same?",
  too_short: "Left out as too short. Keep it all the same?",
  too_long: "Left out as too long. Keep it all the same?",
  other_language: "Left out as of another language. Keep it all the same?",
  untrained: "Its class has too few items to learn from. Is the label right?",
  outlier: "Does it belong into the data?",
  low_information: "Is there enough to learn from?",
};
const UNUSABLE = "It cannot be used. Drop it for good, or mend the file.";
const QUICK = 9;
const AHEAD = 4;
const MOST_VIEWS = 90;
const POLL_MS = 2500;
const RETRY_MS = 1500;
const DIFFERENCE_PX = 700;
const GAIN = 4;

const desk = { cases: [], items: {}, classes: [], version: "" };
let saved = new Map();          // id -> row, as the server last told
const unsaved = new Map();      // id -> row or null, sent and not acknowledged
const skipped = new Set();      // numbers of cases
const touched = new Set();      // decided or skipped since the page was opened
const history = [];
const filter = { reason: "", status: "open", label: "", path: "", test: false };
let at = -1, swapped = false, revealed = false, blinking = false, differing = false;
let zoom = { scale: 1, x: 0, y: 0 };
let isOffline = false, clash = null;

/* Asking the server: every question carries the token, which the address alone holds. */

const token = (() => {
  const found = /^#token=([\w-]+)$/.exec(location.hash);
  try {
    if (found) sessionStorage.setItem("token", found[1]);
    if (found) window.history.replaceState(null, "", location.pathname);
    return found ? found[1] : sessionStorage.getItem("token") || "";
  } catch { return found ? found[1] : ""; }
})();

async function ask(address, body) {
  const headers = { "x-rootstock-token": token };
  if (body) headers["content-type"] = "application/json";
  return fetch(address, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
}

function alarm(what, why) {
  get("alarm").hidden = !what;
  get("alarm-what").textContent = what || "";
  get("alarm-why").textContent = why || "";
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* Changes go out one after the other. Until one is acknowledged it counts as unsaved. */

let line = Promise.resolve();
let waiting = 0, sent = 0;

function send(change) {
  for (const [id, row] of Object.entries(change.rows)) unsaved.set(id, row);
  waiting += 1;
  sent += 1;
  line = line.then(() => deliver(change));
}

async function deliver(change) {
  let response, answer;
  for (;;) {
    try {
      response = await ask(change.address, change.body());
      answer = await response.json().catch(() => ({}));
      break;
    } catch {
      isOffline = true;
      alarm("Not saved yet.", "The server does not answer; this is tried again. Is `rootstock review` still running?");
      await pause(RETRY_MS);
    }
  }
  if (isOffline) { isOffline = false; alarm(); }
  waiting -= 1;
  for (const id of Object.keys(change.rows)) {
    if (unsaved.get(id) === change.rows[id]) unsaved.delete(id);
  }
  if (response.ok) {
    take(answer);
    change.done(answer);
  } else {
    change.failed();
    if (response.status === 409) collide(change, answer.current);
    else refuse(response.status, answer.error, change.number);
  }
  tell();
}

function take(state) {
  desk.version = state.version;
  saved = new Map(Object.entries(state.decisions));
}

function refuse(status, error, number) {
  if (status === 403) alarm("This page may not ask.", "Open the address that `rootstock review` printed when it was started.");
  else alarm("Not saved.", error || `The server answered ${status}.`);
  if (number !== undefined) show(number);
}

/* Cases and decisions. */

const idsOf = (number) => [...new Set(desk.cases[number].rows.map((row) => desk.items[row].id))];
const rowOf = (id) => (unsaved.has(id) ? unsaved.get(id) : saved.get(id)) || null;
const decisionOf = (number) => idsOf(number).map(rowOf).find(Boolean) || null;
const subjectOf = (number) => desk.items[desk.cases[number].rows[swapped ? 1 : 0]];
const isPair = (number) => desk.cases[number].rows.length > 1;
const isTest = (number) => desk.items[desk.cases[number].rows[0]].test;
const isOpen = (number) => !decisionOf(number);
const isHidden = (number) => desk.cases[number].rows.some((row) => desk.items[row].test) && isTest(number) && !revealed;
const basename = (path) => path.slice(path.lastIndexOf("/") + 1) || path;

function words(row) {
  const [action] = row.decision.split(":", 1);
  return action === "relabel" ? `relabel to “${row.decision.slice(8)}”` : action;
}

function matches(number, but) {
  const { reasons, rows, suggested } = desk.cases[number];
  const items = rows.map((row) => desk.items[row]);
  const path = filter.path.toLowerCase();
  return isTest(number) === filter.test
    && (but === "reason" || !filter.reason || reasons.some((each) => each.code === filter.reason))
    && (!filter.label || suggested === filter.label || items.some((each) => each.label === filter.label))
    && (!path || items.some((each) => each.path.toLowerCase().includes(path)));
}

function inState(number) {
  if (filter.status === "decided") return !isOpen(number);
  if (filter.status === "skipped") return skipped.has(number) && isOpen(number);
  if (filter.status === "open") return isOpen(number) || touched.has(number);
  return true;
}

const all = () => desk.cases.map((_, number) => number);
const list = () => all().filter((number) => matches(number) && inState(number));
const undecided = (number) => isOpen(number) && (filter.status === "skipped" || !skipped.has(number));

function advance() {
  const numbers = list();
  const place = numbers.findIndex((number) => number > at);
  const order = place < 0 ? numbers : [...numbers.slice(place), ...numbers.slice(0, place)];
  const next = order.find((number) => undecided(number) && number !== at);
  if (next === undefined) finish();
  else show(next);
}

function move(step) {
  const numbers = list();
  const place = numbers.indexOf(at);
  const next = place < 0 ? numbers.at(step < 0 ? -1 : 0) : numbers[place + step];
  if (next !== undefined) show(next);
}

/* Deciding. */

function decide(decision, seen) {
  if (at < 0 || isOffline) return undefined;
  if (!seen && !isDrawn()) return toast("It is still on its way");
  const number = at, item = subjectOf(number), kase = desk.cases[number];
  const [action] = decision.split(":", 1);
  if (!item.actions.includes(action)) {
    toast(action === "keep" ? "Keep has no effect here" : "It can only be dropped, or mended");
    return undefined;
  }
  const ids = kase.joint ? idsOf(number) : [item.id];
  const expected = seen || Object.fromEntries(ids.map((id) => [id, rowOf(id)?.decision || ""]));
  const row = { decision, by: desk.by, when: "", note: "" };
  const entry = { number, ids, decision, before: null, swapped };
  const body = { case: number, row: item.row, decision, seen: expected };
  history.push(entry);
  touched.add(number);
  skipped.delete(number);
  send({
    address: "api/decide", number, rows: Object.fromEntries(ids.map((id) => [id, row])), body: () => body,
    done: (answer) => { entry.before = answer.before; },
    failed: () => { history.splice(history.indexOf(entry), 1); },
    wish: { number, decision, swapped },
  });
  toast(`${basename(item.path)}: ${words(row)}`);
  return advance();
}

function undo() {
  if (isOffline) return;
  const entry = history.pop();
  if (!entry) return undoShown();
  const back = Object.fromEntries(entry.ids.map((id) => [id, null]));
  send({
    address: "api/undo", number: entry.number, rows: back,
    body: () => ({ rows: entry.before || back, seen: Object.fromEntries(entry.ids.map((id) => [id, entry.decision])) }),
    done: () => {}, failed: () => {}, wish: null,
  });
  show(entry.number);
  swapped = entry.swapped;
  tell();
  toast("Undone");
}

function undoShown() {
  const row = at < 0 ? null : decisionOf(at);
  if (!row) return toast("Nothing to undo");
  if (row.by !== desk.by) return toast(`${row.by || "Somebody else"} decided this: decide anew to replace it`);
  const ids = idsOf(at).filter((id) => rowOf(id));
  const seen = Object.fromEntries(ids.map((id) => [id, rowOf(id).decision]));
  const rows = Object.fromEntries(ids.map((id) => [id, null]));
  send({ address: "api/undo", number: at, rows, body: () => ({ rows, seen }), done: () => {}, failed: () => {}, wish: null });
  toast("Undone");
  return tell();
}

function skip() {
  if (at < 0) return;
  skipped.add(at);
  touched.add(at);
  advance();
}

function collide(change, current) {
  for (const [id, row] of Object.entries(current)) {
    if (row && row.decision) saved.set(id, row);
    else saved.delete(id);
  }
  show(change.number);
  const row = Object.values(current).find((each) => each && each.decision);
  if (!change.wish) {
    toast(row ? `${row.by || "Somebody"} changed it meanwhile: ${words(row)}` : "Somebody took it back meanwhile");
    return;
  }
  const mine = words({ decision: change.wish.decision });
  const theirs = row ? `${row.by || "Somebody else"}: ${words(row)}` : "Somebody took a decision back";
  get("clash-what").textContent = `${basename(subjectOf(change.number).path)} — ${theirs}. You: ${mine}.`;
  clash = { ...change.wish, seen: Object.fromEntries(Object.entries(current).map(([id, each]) => [id, each?.decision || ""])) };
  if (!get("clash").open) get("clash").showModal();
}

function settle(isMine) {
  const wish = clash;
  clash = null;
  get("clash").close();
  if (!wish) return;
  show(wish.number);
  swapped = wish.swapped;
  if (isMine) decide(wish.decision, wish.seen);
  else advance();
}

function label(name) {
  const item = subjectOf(at);
  if (name === item.label && item.actions.includes("keep") && !desk.cases[at].joint) decide("keep");
  else decide(`relabel:${name}`);
}

function quick(number) {
  if (desk.task === "regression") return [];
  if (desk.classes.length <= QUICK) return desk.classes;
  const { candidates, suggested, says } = desk.cases[number];
  const item = subjectOf(number);
  const told = isHidden(number) ? [] : [suggested, ...says.map(([name]) => name), ...item.says.map(([name]) => name)];
  return [...new Set([...candidates, ...told, item.label].filter((name) => desk.classes.includes(name)))].slice(0, QUICK);
}

const suggestion = () => (at >= 0 && !swapped && !isHidden(at) ? desk.cases[at].suggested : null);

/* Items: fetched with the token, kept for a while, the next ones beforehand. */

const views = new Map();

function viewOf(row, size) {
  const key = `${row}/${size}`;
  let found = views.get(key);
  views.delete(key);
  found ||= ask(`api/view/${key}`).then(async (response) => {
    const kind = response.headers.get("content-type") || "";
    if (response.ok && kind.startsWith("text/")) return { text: await response.text() };
    if (response.ok && kind.startsWith("image/")) return { url: URL.createObjectURL(await response.blob()) };
    return { error: (await response.json()).error };
  }).catch(() => { views.delete(key); return { error: "the server does not answer" }; });
  views.set(key, found);
  while (views.size > MOST_VIEWS) {
    const [oldest, gone] = views.entries().next().value;
    views.delete(oldest);
    gone.then(({ url }) => url && URL.revokeObjectURL(url));
  }
  return found;
}

/* An older item never stands beside a newer question: it goes at once, and until the new one is
   there nothing is decided. */

async function draw(frame, item, size) {
  const image = frame.querySelector("img"), none = frame.querySelector(".none");
  const key = `${item.row}/${size}`, row = String(item.row);
  if (frame.dataset.key === key) return;
  frame.dataset.key = key;
  if (frame.dataset.row !== row) {
    frame.dataset.row = row;
    frame.dataset.drawn = none.textContent = "";
    image.hidden = true;
  }
  const { url, text, error } = await viewOf(item.row, size);
  if (frame.dataset.key !== key) return;
  let trouble = error || "";
  if (url) {
    image.src = url;
    try { await image.decode(); } catch { trouble = "this browser cannot show it"; }
    if (frame.dataset.key !== key) return;
  }
  none.textContent = text ?? trouble;
  none.classList.toggle("text", text !== undefined);
  image.hidden = !url || trouble !== "";
  image.alt = item.path;
  image.classList.toggle("coarse", image.clientWidth > 3 * image.naturalWidth && image.clientHeight > 3 * image.naturalHeight);
  frame.dataset.drawn = row;
}

const isDrawn = () => [...document.querySelectorAll(".frame:not([hidden])")].every((frame) => frame.dataset.drawn === frame.dataset.row);

function prefetch() {
  const numbers = list().filter((number) => number > at && undecided(number)).slice(0, AHEAD);
  for (const number of numbers) {
    for (const row of desk.cases[number].rows.slice(0, 2)) if (desk.items[row].is_read) viewOf(row, "view");
  }
}

async function compare() {
  const canvas = document.querySelector("canvas");
  canvas.hidden = !differing;
  const [first, second] = [...document.querySelectorAll(".view img")];
  if (!differing || first.hidden || second.hidden || !first.naturalWidth || !second.naturalWidth) return;
  const scale = Math.min(1, DIFFERENCE_PX / Math.max(second.naturalWidth, second.naturalHeight));
  canvas.width = Math.max(1, Math.round(second.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(second.naturalHeight * scale));
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const { width, height } = canvas;
  const turn = swapped ? [0, 1, 2, 3, 4, 6, 5, 7][desk.cases[at].turn] : desk.cases[at].turn;
  const isTransposed = (turn & 4) > 0, right = turn & 1 ? -1 : 1, down = turn & 2 ? -1 : 1;
  pen.setTransform(isTransposed ? 0 : right, isTransposed ? down : 0, isTransposed ? right : 0, isTransposed ? 0 : down, turn & 1 ? width : 0, turn & 2 ? height : 0);
  pen.drawImage(first, 0, 0, isTransposed ? height : width, isTransposed ? width : height);
  const one = pen.getImageData(0, 0, width, height).data;
  pen.resetTransform();
  pen.drawImage(second, 0, 0, width, height);
  const two = pen.getImageData(0, 0, width, height);
  let sum = 0;
  for (let place = 0; place < one.length; place += 4) {
    for (let channel = place; channel < place + 3; channel += 1) {
      const difference = Math.abs(one[channel] - two.data[channel]);
      sum += difference;
      two.data[channel] = Math.min(255, GAIN * difference);
    }
  }
  pen.putImageData(two, 0, 0);
  const mark = document.querySelectorAll(".mark")[1];
  mark.textContent = `difference × ${GAIN}; mean ${(sum / (0.75 * one.length)).toFixed(1)} of 255`;
}

/* Showing a case. */

function show(number) {
  at = number;
  swapped = blinking = differing = revealed = false;
  zoom = { scale: 1, x: 0, y: 0 };
  get("end").hidden = true;
  get("work").hidden = false;
  tell();
}

function tell() {
  count();
  if (get("work").hidden || at < 0) return;
  const kase = desk.cases[at], item = subjectOf(at);
  tellFrames(kase, item);
  tellPanel(kase, item);
  tellActions(item);
  tellNeighbors(item);
  prefetch();
}

function caption(frame, item, mark) {
  const head = make("div"), row = rowOf(item.id);
  head.append(make("b", item.label ?? "no label"), make("span", item.split ?? item.status, "tag"));
  if (row) head.append(make("span", `✓ ${words(row)}`, "tag"));
  frame.querySelector("figcaption").replaceChildren(head, make("div", item.path, "soft"));
  frame.querySelector("figcaption").title = item.path;
  frame.querySelector(".mark").textContent = mark;
}

function tellFrames(kase, item) {
  const frames = [...document.querySelectorAll(".frame")];
  const pair = isPair(at);
  const order = pair ? [item, desk.items[kase.rows[swapped ? 0 : 1]]] : [item];
  frames[1].hidden = !pair;
  frames[0].className = `frame${pair && !kase.joint ? " subject" : ""}`;
  const drawn = order.map((each, place) => {
    const mark = !pair ? "" : blinking && place === 0 ? "the other one" : place === 0 ? (kase.joint ? "" : "decided here") : kase.rows.length > 2 ? `and ${kase.rows.length - 2} more` : "";
    caption(frames[place], each, mark);
    const large = Math.max(each.width || 0, each.height || 0) > 1400 && zoom.scale > 1;
    return draw(frames[place], blinking && place === 0 ? order[1] : each, large ? "full" : "view");
  });
  Promise.all(drawn).then(() => {
    get("work").toggleAttribute("data-drawn", isDrawn());
    if (differing) compare();
  });
  get("work").toggleAttribute("data-drawn", isDrawn());
  for (const each of document.querySelectorAll(".pair")) each.hidden = !pair;
  document.querySelector('[data-do="swap"]').hidden = !pair || kase.joint;
  document.querySelector('[data-do="blink"]').setAttribute("aria-pressed", blinking);
  document.querySelector('[data-do="difference"]').setAttribute("aria-pressed", differing);
  document.querySelector("canvas").hidden = !differing;
  const numbers = list();
  get("place").textContent = `${numbers.indexOf(at) + 1} / ${numbers.length}`;
  place();
}

function tellPanel(kase, item) {
  const hidden = isHidden(at);
  get("reasons").replaceChildren(...kase.reasons.map(({ code }) => make("span", desk.titles[code])));
  get("question").textContent = (QUESTIONS[kase.reasons[0].code] || UNUSABLE).replace("{noun}", desk.noun);
  const secret = (code) => hidden && (code === "label" || code === "look_alike");
  get("detail").textContent = kase.reasons.filter(({ code, text }) => text && !secret(code) && !(code === "label" && kase.says.length)).map(({ text }) => text).join("; ");
  get("blind").hidden = !(isTest(at) && !revealed && (kase.suggested || item.says.length));
  const says = hidden ? [] : (!swapped && kase.says.length ? kase.says : item.says);
  const expected = hidden ? null : (!swapped && kase.suggested) || (says.length && says[0][0] !== item.label ? says[0][0] : null);
  const given = kase.joint ? kase.candidates.join(" or ") : item.label;
  const labels = [make("dt", "Label"), make("dd", given || "none")];
  if (expected) labels.push(make("dt", desk.task === "regression" ? "Model expects" : "Model says"), make("dd", expected, "other"));
  get("labels").replaceChildren(...labels);
  get("bars").replaceChildren(...says.filter(([, p]) => p !== null).map(([name, p]) => {
    const bar = make("li", undefined, name === item.label ? "given" : name === expected ? "expected" : "");
    const row = make("div", undefined, "row"), track = make("div", undefined, "track"), fill = make("div", undefined, "fill");
    row.append(make("span", name), make("span", `${(100 * p).toFixed(1)} %`));
    fill.style.width = `${100 * p}%`;
    track.append(fill);
    bar.append(row, track);
    return bar;
  }));
  const row = decisionOf(at);
  get("decided").hidden = !row;
  get("decided").className = row ? row.decision.split(":", 1)[0] : "";
  if (row) get("decided").textContent = `Decided: ${words(row)}${row.by ? `, by ${row.by}` : ""}${row.when ? `, ${row.when}` : ""}`;
  const size = item.width ? `${item.width} × ${item.height} px, ` : "";
  get("facts").textContent = `${size}${item.format ? `${item.format}, ` : ""}${item.group ? `group ${item.group}, ` : ""}${item.id.slice(0, 12)} · ${item.path}`;
}

function tellActions(item) {
  const can = (action) => item.actions.includes(action);
  const wish = suggestion();
  get("accept").hidden = !wish || !can("relabel");
  get("accept").lastElementChild.textContent = wish ? `Relabel to “${wish}”` : "";
  get("keep").disabled = !can("keep");
  get("keep").title = can("keep") ? "" : "Keep has no effect on this item";
  get("keep").lastElementChild.textContent = item.label === null || !can("relabel") ? "Keep" : `Keep “${item.label}”`;
  get("drop").disabled = !can("drop");
  get("relabel").disabled = !can("relabel");
  get("relabel").lastElementChild.textContent = desk.task === "regression" ? "Type a number" : "Type a class";
  get("relabel").hidden = desk.task === "classification" && desk.classes.length <= 4;
  get("undo").disabled = !history.length && !decisionOf(at);
  get("quick").replaceChildren(...(can("relabel") ? quick(at) : []).map((name, place) => {
    const button = make("button", undefined, name === item.label ? "given" : name === wish ? "expected" : "");
    button.type = "button";
    button.title = name;
    button.append(make("kbd", place + 1), make("span", name));
    button.addEventListener("click", () => label(name));
    return button;
  }));
}

let neighborsOf = -1;

async function tellNeighbors(item) {
  const strip = get("strip"), near = get("near");
  const hidden = isHidden(at) || isPair(at) || !item.split;
  strip.hidden = hidden || !near.childElementCount;
  near.style.visibility = neighborsOf === item.row ? "" : "hidden";  // its place stays: no jump
  if (hidden || neighborsOf === item.row) return;
  let found;
  try { found = (await (await ask(`api/neighbors/${item.row}`)).json()).neighbors || []; } catch { return; }
  if (at < 0 || subjectOf(at) !== item) return;
  neighborsOf = item.row;
  near.style.visibility = "";
  near.replaceChildren(...found.map((each) => {
    const figure = make("figure", undefined, each.label === item.label ? "" : "other");
    const image = make("img");
    image.alt = each.path;
    image.hidden = true;
    figure.title = `${each.path}\n${each.label}, ${each.split}, cosine ${each.cosine}`;
    figure.append(image, make("span", undefined, "empty"), make("figcaption", each.label));
    viewOf(each.row, "thumb").then(({ url, text }) => {
      figure.querySelector(".empty").textContent = text ?? "";
      if (!url) return;
      image.src = url;
      image.hidden = false;
      figure.querySelector(".empty").hidden = true;
    });
    return figure;
  }));
  strip.hidden = !found.length || isHidden(at);
}

/* Counts, filters, the end. */

function count() {
  const mine = all().filter((number) => isTest(number) === filter.test);
  const rows = mine.map(decisionOf).filter(Boolean);
  const left = mine.length - rows.length;
  const later = mine.filter((number) => skipped.has(number) && isOpen(number)).length;
  get("counts").replaceChildren(make("b", rows.length), ` of ${mine.length} decided, `, make("b", left), ` left${later ? `, ${later} skipped` : ""}${waiting ? `, ${waiting} being saved` : ""}`);
  get("end-more").textContent = `${saved.size} ${saved.size === 1 ? "decision is" : "decisions are"} in ${desk.file}.`;
  get("progress").setAttribute("aria-valuemax", mine.length);
  get("progress").setAttribute("aria-valuenow", rows.length);
  for (const part of get("progress").children) {
    const share = rows.filter((row) => row.decision.split(":", 1)[0] === part.className).length / (mine.length || 1);
    part.style.width = `${100 * share}%`;
  }
  const codes = Object.keys(desk.titles).filter((code) => mine.some((number) => desk.cases[number].reasons.some((each) => each.code === code)));
  const chip = (text, numbers, isOn, act, kind) => {
    const button = make("button", text, kind);
    button.type = "button";
    button.setAttribute("aria-pressed", isOn);
    button.append(make("span", `${numbers.filter(isOpen).length}`));
    button.title = `${numbers.filter(isOpen).length} of ${numbers.length} left`;
    button.addEventListener("click", act);
    return button;
  };
  const chips = [chip("All", mine, !filter.reason, () => choose({ reason: "" }))];
  for (const code of codes) {
    const numbers = mine.filter((number) => desk.cases[number].reasons.some((each) => each.code === code));
    chips.push(chip(desk.titles[code], numbers, filter.reason === code, () => choose({ reason: filter.reason === code ? "" : code })));
  }
  const others = all().filter((number) => isTest(number));
  if (others.length) chips.push(chip("Test split", others, filter.test, () => choose({ test: !filter.test, reason: "" }), "test"));
  get("chips").replaceChildren(...chips);
}

function choose(changes) {
  Object.assign(filter, changes);
  const numbers = list();
  const first = numbers.find(undecided) ?? numbers[0];
  if (first === undefined) finish();
  else show(first);
}

function finish() {
  at = -1;
  get("work").hidden = true;
  get("end").hidden = false;
  count();
  const open = all().filter(isOpen);
  const later = open.filter((number) => skipped.has(number) && matches(number));
  const others = open.filter((number) => isTest(number) === filter.test && !skipped.has(number));
  const tests = open.filter((number) => isTest(number) !== filter.test);
  get("end-what").textContent = !open.length ? "All is decided" : list().length ? "All of these are decided" : "Nothing here";
  if (later.length) get("end-what").textContent = "All but the skipped are decided";
  const ways = [];
  const way = (key, text, act) => {
    const button = make("button");
    button.type = "button";
    button.dataset.key = ways.length ? key.toLowerCase() : "enter";
    button.append(make("kbd", ways.length ? key : "Enter"), text);
    button.addEventListener("click", act);
    ways.push(button);
  };
  if (others.length) way("A", `${others.length} others are left`, () => reset());
  if (later.length) way("S", `Look at the ${later.length} skipped`, () => { later.forEach((number) => skipped.delete(number)); choose({ status: "open" }); });
  if (tests.length) way("T", `${tests.length} of ${filter.test ? "train and val" : "the test split"}`, () => choose({ test: !filter.test, reason: "" }));
  get("end-ways").replaceChildren(...ways);
}

function reset() {
  get("path").value = get("class").value = "";
  get("status").value = "open";
  choose({ reason: "", label: "", path: "", status: "open" });
}

let fading;
function toast(text) {
  get("toast").textContent = text;
  get("toast").className = "shown";
  clearTimeout(fading);
  fading = setTimeout(() => { get("toast").className = ""; }, 1800);
}

/* Relabeling by typing. */

const palette = { names: [], place: 0 };

function openPalette() {
  if (at < 0 || !subjectOf(at).actions.includes("relabel")) return;
  const isNumber = desk.task === "regression";
  get("palette-what").textContent = isNumber ? "The right number" : "The right class";
  get("word").value = "";
  get("word").inputMode = isNumber ? "decimal" : "text";
  get("palette").showModal();
  get("word").focus();
  listWords();
}

function listWords() {
  const typed = get("word").value.trim().toLowerCase();
  const rank = (name) => (name.toLowerCase() === typed ? 0 : name.toLowerCase().startsWith(typed) ? 1 : 2);
  const first = at >= 0 && !typed ? quick(at) : [];
  palette.names = desk.task === "regression" ? [] : [...new Set([...first, ...desk.classes])]
    .filter((name) => name.toLowerCase().includes(typed))
    .sort((one, other) => (typed ? rank(one) - rank(other) : 0)).slice(0, 200);
  palette.place = 0;
  drawWords();
  get("palette-note").textContent = desk.task === "regression"
    ? (typed && !isNumeric(typed) ? "Type a number, with a point for decimals." : "Enter saves it.")
    : palette.names.length ? "" : `No class has this in its name; a new one is written into ${desk.file} by hand.`;
}

const isNumeric = (text) => /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text);

function drawWords() {
  get("words").replaceChildren(...palette.names.map((name, place) => {
    const entry = make("li", name);
    entry.setAttribute("role", "option");
    entry.setAttribute("aria-selected", place === palette.place);
    entry.addEventListener("click", () => pick(name));
    return entry;
  }));
  get("words").children[palette.place]?.scrollIntoView({ block: "nearest" });
}

function pick(name) {
  get("palette").close();
  label(name);
}

get("word").addEventListener("input", listWords);
get("word").addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const step = event.key === "ArrowDown" ? 1 : -1;
    palette.place = Math.max(0, Math.min(palette.names.length - 1, palette.place + step));
    drawWords();
  } else if (event.key === "Enter") {
    const typed = get("word").value.trim();
    const name = desk.task === "regression" ? (isNumeric(typed) ? typed : undefined) : palette.names[palette.place];
    if (name !== undefined) pick(name);
  } else return;
  event.preventDefault();
});

/* Zooming. */

function place() {
  for (const each of document.querySelectorAll(".view img, .view canvas")) {
    each.style.transform = `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.scale})`;
  }
}

function zoomTo(scale, x, y) {
  const size = document.querySelector(".view").getBoundingClientRect();
  const next = Math.max(1, Math.min(40, scale));
  const ratio = next / zoom.scale;
  const bound = (value, length) => Math.min(0, Math.max(length * (1 - next), value));
  const wasWhole = zoom.scale === 1;
  zoom = { scale: next, x: bound(x - (x - zoom.x) * ratio, size.width), y: bound(y - (y - zoom.y) * ratio, size.height) };
  place();
  if (wasWhole !== (next === 1)) tell();
}

for (const view of document.querySelectorAll(".view")) {
  let start = null, moved = false;
  const point = (event) => {
    const box = view.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  view.addEventListener("wheel", (event) => {
    if (event.target.classList.contains("text")) return;  // it scrolls
    event.preventDefault();
    zoomTo(zoom.scale * Math.exp(-event.deltaY / 300), ...point(event));
  }, { passive: false });
  view.addEventListener("pointerdown", (event) => { start = [event.clientX - zoom.x, event.clientY - zoom.y, event.clientX, event.clientY]; moved = false; view.setPointerCapture(event.pointerId); });
  view.addEventListener("pointermove", (event) => {
    if (!start) return;
    moved ||= Math.abs(event.clientX - start[2]) + Math.abs(event.clientY - start[3]) > 4;
    if (!moved || zoom.scale === 1) return;
    const box = view.getBoundingClientRect();
    zoom.x = Math.min(0, Math.max(box.width * (1 - zoom.scale), event.clientX - start[0]));
    zoom.y = Math.min(0, Math.max(box.height * (1 - zoom.scale), event.clientY - start[1]));
    place();
  });
  view.addEventListener("pointerup", (event) => {
    if (start && !moved) zoomTo(zoom.scale > 1 ? 1 : 3, ...point(event));
    start = null;
  });
}

/* Keys and buttons. */

const DO = {
  keep: () => decide("keep"),
  drop: () => decide("drop"),
  accept: () => { const wish = suggestion(); if (wish) label(wish); },
  relabel: openPalette,
  skip,
  undo,
  next: () => move(1),
  back: () => move(-1),
  blink: () => { if (at >= 0 && isPair(at)) { blinking = !blinking; tell(); } },
  difference: () => { if (at >= 0 && isPair(at)) { differing = !differing; tell(); } },
  swap: () => { if (at >= 0 && isPair(at) && !desk.cases[at].joint) { swapped = !swapped; blinking = false; tell(); } },
  zoom: () => {
    const size = document.querySelector(".view").getBoundingClientRect();
    zoomTo(zoom.scale > 1 ? 1 : 3, size.width / 2, size.height / 2);
  },
  reveal: () => { revealed = !revealed; tell(); },
  test: () => { if (all().some(isTest)) choose({ test: !filter.test, reason: "" }); },
  find: () => get("path").focus(),
  help: () => get("keys").showModal(),
};
const KEYS = {
  k: "keep", d: "drop", enter: "accept", r: "relabel", s: "skip", " ": "skip", u: "undo", arrowright: "next", arrowleft: "back",
  b: "blink", f: "difference", x: "swap", z: "zoom", m: "reveal", t: "test", "/": "find", "?": "help",
};

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.altKey || event.metaKey) return;
  const key = event.key.toLowerCase();
  if (get("clash").open) {
    if (key === "enter" || key === "o") { event.preventDefault(); settle(key === "o"); }
    return;
  }
  if (document.querySelector("dialog[open]") || !desk.cases.length) return;
  if (event.target.matches("input, select")) {
    if (key === "escape" || (key === "enter" && event.target.id === "path")) event.target.blur();
    return;
  }
  if (event.ctrlKey) {
    if (key === "z") { event.preventDefault(); undo(); }
    return;
  }
  if (event.target.matches("button") && (key === "enter" || key === " ")) return;
  const way = at < 0 && [...get("end-ways").children].find((button) => button.dataset.key === key);
  if (way) { way.click(); event.preventDefault(); return; }
  if (/^[1-9]$/.test(key)) {
    const name = at < 0 ? undefined : quick(at)[Number(key) - 1];
    if (name !== undefined && !event.repeat) label(name);
  } else if (Object.hasOwn(KEYS, key)) {
    const isMove = key.startsWith("arrow");
    if (!event.repeat || isMove) DO[KEYS[key]]();
  } else return;
  event.preventDefault();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.do) DO[button.dataset.do]();
  if (event.detail) button.blur();  // a click, not a key: the next key is for the page again
});
get("help").addEventListener("click", DO.help);
get("theirs").addEventListener("click", () => settle(false));
get("mine").addEventListener("click", () => settle(true));
get("clash").addEventListener("cancel", (event) => { event.preventDefault(); settle(false); });
get("status").addEventListener("change", (event) => { choose({ status: event.target.value }); event.target.blur(); });
get("class").addEventListener("change", (event) => { choose({ label: event.target.value }); event.target.blur(); });
get("path").addEventListener("input", (event) => choose({ path: event.target.value.trim() }));
window.addEventListener("beforeunload", (event) => { if (waiting) event.preventDefault(); });

/* Start, and see what others decide. */

async function poll() {
  for (;;) {
    await pause(POLL_MS);
    if (waiting || document.hidden) continue;
    const before = sent;
    try {
      const response = await ask(`api/decisions?version=${encodeURIComponent(desk.version)}`);
      const state = response.status === 200 ? await response.json() : null;
      if (state && sent === before) { take(state); tell(); }
      else if (response.status >= 400) refuse(response.status, (await response.json()).error);
      if (response.ok && !get("alarm").hidden) alarm();
    } catch {
      alarm("The server does not answer.", "What was acknowledged is saved. Start `rootstock review` again, and open the address that it prints.");
    }
  }
}

async function start() {
  let response, found;
  try {
    response = await ask("api/queue");
    found = await response.json();
  } catch { return alarm("The server does not answer.", ""); }
  if (!response.ok) return refuse(response.status, found.error);
  Object.assign(desk, found);
  take(found);
  document.title = `Review of ${desk.name}`;
  get("name").textContent = desk.name;
  get("name").title = `decided by ${desk.by}`;
  get("file").textContent = desk.file;
  get("notes").textContent = desk.notes.join(" ");
  get("class").replaceChildren(new Option("All classes", ""), ...desk.classes.map((name) => new Option(name, name)));
  get("class").hidden = !desk.classes.length;
  get("controls").hidden = false;
  filter.test = !all().some((number) => !isTest(number));
  choose({});
  return poll();
}

start();
