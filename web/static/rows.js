// The list of events: newest on top, bounded, drawn at most once a frame. An event that arrives
// costs one object; rows are built only for those that can be seen, so a thousand a second leave
// the page at ease, and a page in the background (where no frames come) holds no more than a full list.

const MAX_ROWS = 500;
const MAX_SHOWN = 4000; // UTF-16 units of one payload; a megabyte in a cell would freeze the page
const COLOURS = 8;
const NEWS_MS = 10000; // a screen reader is told a sum this often, not each event
const RATE_MS = 1000;

export function createRows({ body, empty, count, rate, pause, clear, scroll, news }) {
  let waiting = []; // oldest first, at most twice MAX_ROWS
  let held = 0; // arrived since the pause
  let total = 0;
  let paused = false;
  let frame = 0;
  let rateFrom = { at: performance.now(), total: 0 };
  let toldTotal = 0;
  let lastChannel = "";

  function add(entry) {
    waiting.push({ ...entry, at: new Date() });
    if (waiting.length > 2 * MAX_ROWS) waiting.splice(0, waiting.length - MAX_ROWS);
    if (!entry.notice) {
      total++;
      lastChannel = entry.channel;
    }
    if (paused) held++;
    frame ||= requestAnimationFrame(draw);
  }

  function draw() {
    frame = 0;
    count.textContent = total.toLocaleString();
    if (paused) {
      pause.textContent = `Resume (${held.toLocaleString()})`;
      return;
    }
    const fresh = document.createDocumentFragment();
    for (const entry of waiting.slice(-MAX_ROWS).reverse()) fresh.append(drawRow(entry));
    waiting = [];
    body.prepend(fresh);
    while (body.rows.length > MAX_ROWS) body.deleteRow(-1);
    empty.hidden = body.rows.length > 0;
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    held = 0;
    pause.classList.toggle("primary", paused);
    pause.textContent = paused ? "Resume" : "Pause";
    draw();
  });

  clear.addEventListener("click", () => {
    waiting = [];
    held = total = toldTotal = 0;
    rateFrom = { at: performance.now(), total: 0 };
    rate.textContent = "";
    body.replaceChildren();
    scroll.scrollTop = 0;
    empty.hidden = false;
    if (paused) pause.textContent = "Resume";
    count.textContent = "0";
  });

  setInterval(() => {
    const now = performance.now();
    const perSecond = Math.round(((total - rateFrom.total) * 1000) / (now - rateFrom.at));
    rateFrom = { at: now, total };
    const text = perSecond > 0 ? `${perSecond.toLocaleString()}/s` : "";
    if (rate.textContent !== text) rate.textContent = text;
  }, RATE_MS);

  setInterval(() => {
    const fresh = total - toldTotal;
    toldTotal = total;
    if (fresh > 0) news.textContent = `${fresh} new ${fresh === 1 ? "event" : "events"}, the last on ${lastChannel}`;
  }, NEWS_MS);

  return { add };
}

function drawRow(entry) {
  const row = document.createElement("tr");
  row.setAttribute("role", "row");
  if (entry.notice) row.dataset.notice = entry.notice;
  else row.dataset.colour = colourOf(entry.channel ?? "");
  for (const [name, text] of [
    ["time", clockTime(entry.at)], ["channel", entry.channel], ["event", entry.event],
    ["id", entry.id], ["data", shorten(entry.data ?? "")],
  ]) {
    const cell = document.createElement("td");
    cell.setAttribute("role", "cell");
    cell.className = name;
    cell.textContent = text ?? "";
    row.append(cell);
  }
  return row;
}

function clockTime(date) {
  const two = (number) => String(number).padStart(2, "0");
  const ms = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}

function shorten(text) {
  if (text.length <= MAX_SHOWN) return text;
  return `${text.slice(0, MAX_SHOWN)}\n… and ${(text.length - MAX_SHOWN).toLocaleString()} more characters`;
}

// The same channel has the same colour on every page.
function colourOf(name) {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (hash * 31 + name.charCodeAt(i)) | 0;
  return Math.abs(hash) % COLOURS;
}
