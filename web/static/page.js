// The page at "/": joins the form fields, the address bar, the stream and the list of events.
// Nothing is kept: what to listen to stands in location.hash, so a page can be shared and reloaded.

import { createStream } from "./stream.js";
import { createRows } from "./rows.js";
import { createHealth } from "./health.js";
import { bindSend } from "./send.js";

const FIRST_VISIT = [{ kind: "channel", name: "default" }];
const STATES = {
  idle: "nothing to listen to",
  off: "disconnected",
  connecting: "connecting",
  open: "connected",
  reconnecting: "reconnecting",
  closed: "refused",
};
// Control events that say something went wrong; sluice.head and sluice.ping are of no interest here.
const NOTICES = ["sluice.gap", "sluice.busy", "sluice.expired"];

const GAP_REASONS = {
  redis: "Redis was away",
  overflow: "more came than the gateway could queue",
  trimmed: "it is older than the history that is kept",
  unknown: "this gateway does not know where the stream had been",
};

const element = (id) => document.getElementById(id);

let names = [];
let lostAt = 0;

const rows = createRows({
  body: element("rows"), empty: element("empty"), count: element("count"), rate: element("rate"),
  pause: element("pause"), clear: element("clear"), scroll: element("scroll"), news: element("news"),
});

const health = createHealth(element("redis"), element("redis-text"));

const stream = createStream({ notices: NOTICES, onState, onMessage, onNotice });

function onState(state, why) {
  element("state").dataset.state = state;
  element("state-text").textContent = why ? `${STATES[state]}: ${why}` : STATES[state];
  element("connect").textContent = stream.wanted() ? "Disconnect" : "Connect";
  element("connect").disabled = names.length === 0;
  health.watch(state === "open");
  tellLoss(state, why);
}

// What happened to the connection belongs between the events, where it happened.
function tellLoss(state, why) {
  if (state === "reconnecting" && !lostAt) {
    lostAt = performance.now();
    rows.add({ notice: "bad", event: "connection lost", data: "The browser tries again by itself." });
  } else if (state === "open" && lostAt) {
    const seconds = ((performance.now() - lostAt) / 1000).toFixed(1);
    lostAt = 0;
    rows.add({
      notice: "good", event: "reconnected",
      data: `After ${seconds} s. What an ephemeral channel published meanwhile is not repeated.`,
    });
  } else if (state === "closed") {
    lostAt = 0;
    rows.add({ notice: "bad", event: "refused", data: why });
  } else if (state === "off" || state === "idle") {
    lostAt = 0;
  }
}

// wrap=1: {"channel","event","data","id"}
function onMessage(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    message = { data: text };
  }
  rows.add({ channel: message.channel, event: message.event, id: message.id, data: message.data });
}

function onNotice(type, text, id) {
  let detail = {};
  try {
    detail = JSON.parse(text);
  } catch {
    detail = { error: text };
  }
  const reason = GAP_REASONS[detail.reason] ?? detail.reason;
  rows.add({
    notice: "bad", event: type, id, channel: detail.channel ?? detail.pattern,
    data: type === "sluice.gap" ? `Something may have been missed here: ${reason}.` : detail.error,
  });
  if (type === "sluice.gap") health.ask();
}

const isPattern = (name) => /[*?[]/.test(name);

// Redis's globs know no braces, and no channel's name holds any of these.
function nameError(name) {
  if (new TextEncoder().encode(name).length > 200) return "A name has at most 200 bytes.";
  if (/\p{Cc}/u.test(name)) return "A name has no control characters.";
  if (!isPattern(name) && /[\]{}\\]/.test(name)) return "A channel's name has none of * ? [ ] { } \\";
  if (/^(sluice[:.]|__)/.test(name)) return "Names that begin with sluice: or sluice. or __ are the gateway's own.";
  return "";
}

function readHash() {
  const found = [];
  for (const [kind, name] of new URLSearchParams(location.hash.slice(1))) {
    if ((kind === "channel" || kind === "pattern") && name) found.push({ kind, name });
  }
  return location.hash ? found : FIRST_VISIT;
}

function writeHash() {
  const query = new URLSearchParams(names.map(({ kind, name }) => [kind, name]));
  history.replaceState(null, "", `#${query}`);
}

function listen(next) {
  names = next;
  drawNames();
  stream.open(names);
}

function drawNames() {
  element("names").replaceChildren(...names.map(drawName));
  element("try").textContent = commandsFor(names.find(({ kind }) => kind === "channel")?.name ?? "default");
}

// What a person may paste into a shell; PORT, since only the gateway knows where its Redis is.
function commandsFor(channel) {
  const quote = (word) => `'${word.replaceAll("'", "'\\''")}'`;
  const url = new URL(`publish/${encodeURIComponent(channel)}`, document.baseURI);
  return `redis-cli -p PORT PUBLISH ${quote(channel)} hello\ncurl -d hello ${quote(url.href)}`;
}

function drawName(entry) {
  const item = document.createElement("li");
  const label = document.createElement("span");
  const remove = document.createElement("button");
  item.dataset.kind = entry.kind;
  label.textContent = entry.name;
  label.title = entry.kind;
  remove.type = "button";
  remove.textContent = "×";
  remove.setAttribute("aria-label", `Stop listening to ${entry.kind} ${entry.name}`);
  remove.addEventListener("click", () => {
    listen(names.filter((other) => other !== entry));
    writeHash();
    element("name").focus();
  });
  item.append(label, remove);
  return item;
}

function showNameError(text) {
  element("name-error").textContent = text;
  element("name-error").hidden = !text;
  element("name").setAttribute("aria-invalid", String(Boolean(text)));
}

element("subscribe").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = element("name").value.trim();
  if (!name) return;
  const error = nameError(name);
  showNameError(error);
  if (error) return;
  const kind = isPattern(name) ? "pattern" : "channel";
  element("name").value = "";
  if (!names.some((other) => other.kind === kind && other.name === name)) {
    listen([...names, { kind, name }]);
    writeHash();
  }
  if (kind === "channel") element("to").value = name;
});

element("name").addEventListener("input", () => showNameError(""));

element("connect").addEventListener("click", () => {
  if (stream.wanted()) stream.close();
  else stream.open(names);
});

window.addEventListener("hashchange", () => listen(readHash()));

bindSend({
  form: element("publish"), to: element("to"), event: element("event"), data: element("data"),
  key: element("key"), answer: element("answer"),
});
listen(readHash());
if (names[0]?.kind === "channel") element("to").value = names[0].name;
