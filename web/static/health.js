// Whether the gateway has Redis. Stream comments say so but an EventSource does not show them, so
// /readyz is asked while the stream is open and the page is seen.

const EVERY_MS = 5000;

// {"status":"ready"|"degraded","redis":"ready", why it is away, or "none: …" with the memory broker}
function describe({ status, redis }) {
  if (status === "degraded") return `Redis away: ${redis}`;
  if (status !== "ready") return "";
  return String(redis).startsWith("none") ? "no Redis: memory broker" : "Redis up";
}

export function createHealth(box, text) {
  let timer = 0;
  let asking = false;

  function show(answer) {
    const line = describe(answer);
    box.dataset.state = answer.status ?? "unknown";
    box.hidden = !line;
    if (text.textContent !== line) text.textContent = line; // or a screen reader says it again
  }

  async function ask() {
    if (asking || document.hidden) return;
    asking = true;
    try {
      const response = await fetch("readyz", { cache: "no-store" });
      show(await response.json());
    } catch {
      show({}); // the stream's own state says that the gateway is away
    }
    asking = false;
  }

  return {
    ask,
    watch(on) {
      clearInterval(timer);
      if (on) {
        timer = setInterval(ask, EVERY_MS);
        ask();
      } else {
        show({});
      }
    },
  };
}
