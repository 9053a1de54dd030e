// Whether the gateway has Redis. Stream comments say so but an EventSource does not show them, so
// /readyz is asked while the stream is open and the page is seen.

const EVERY_MS = 5000;
const TEXTS = { ready: "Redis up", degraded: "Redis away, trying again" };

export function createHealth(box, text) {
  let timer = 0;
  let asking = false;

  function show(status) {
    box.dataset.state = status;
    box.hidden = !(status in TEXTS);
    if (text.textContent !== (TEXTS[status] ?? "")) text.textContent = TEXTS[status] ?? "";
  }

  async function ask() {
    if (asking || document.hidden) return;
    asking = true;
    try {
      const response = await fetch("readyz", { cache: "no-store" });
      show((await response.json()).status);
    } catch {
      show("unknown"); // the stream's own state says that the gateway is away
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
        show("unknown");
      }
    },
  };
}
