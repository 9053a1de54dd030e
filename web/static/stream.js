// One EventSource and what became of it. States: idle (no names), off (closed by hand), connecting,
// open, reconnecting, closed (refused for good).
//
// An EventSource comes back by itself after a broken connection, but gives up on any answer that is
// not 200 and does not say why. So when it has given up, the same address is asked once by fetch: a
// 4xx is the gateway's own refusal and ends it, anything else (a proxy's 502, a dead network) is
// tried again.

const RETRY_MS = 3000;

export function createStream({ notices, onState, onMessage, onNotice }) {
  let source = null;
  let names = [];
  let timer = 0;
  let wanted = false;

  function stop() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function start() {
    stop();
    const mine = new EventSource(address(names));
    source = mine;
    mine.onopen = () => onState("open");
    mine.onmessage = (event) => onMessage(event.data);
    mine.onerror = () => {
      onState("reconnecting");
      if (mine.readyState === EventSource.CLOSED) explain(mine);
    };
    for (const type of notices) {
      mine.addEventListener(type, (event) => onNotice(type, event.data, event.lastEventId));
    }
  }

  async function explain(mine) {
    const refusal = await askWhy(address(names));
    if (source !== mine) return;
    if (!refusal) {
      timer = setTimeout(start, RETRY_MS);
      return;
    }
    stop();
    wanted = false;
    onState("closed", refusal);
  }

  return {
    wanted: () => wanted,
    open(next) {
      names = next;
      wanted = names.length > 0;
      if (!wanted) {
        stop();
        onState("idle");
        return;
      }
      start();
      onState("connecting");
    },
    close() {
      stop();
      wanted = false;
      onState("off");
    },
  };
}

// Relative, so that it works below whatever path the gateway is served at.
function address(names) {
  const query = new URLSearchParams(names.map(({ kind, name }) => [kind, name]));
  query.set("wrap", "1");
  return `events?${query}`;
}

// The reason of a refusal that will not pass, or "" when trying again may help.
async function askWhy(url) {
  const abort = new AbortController();
  try {
    const response = await fetch(url, { signal: abort.signal, cache: "no-store" });
    if (response.status < 400 || response.status >= 500) return "";
    const text = await response.text();
    try {
      return JSON.parse(text).error ?? text;
    } catch {
      return `${response.status} ${response.statusText}`;
    }
  } catch {
    return "";
  } finally {
    abort.abort(); // a 200 is a stream that would stay open
  }
}
