// The form that publishes one message. The API key goes from the field into the request's header
// and nowhere else.

export function bindSend({ form, to, event, data, key, answer }) {
  function show(good, text) {
    answer.dataset.good = String(good);
    answer.textContent = text;
    answer.hidden = false;
  }

  async function send() {
    const message = { channel: to.value.trim(), data: data.value };
    if (event.value) message.event = event.value;
    const headers = { "Content-Type": "application/json" };
    if (key.value) headers.Authorization = `Bearer ${key.value}`;
    try {
      const response = await fetch("publish", { method: "POST", headers, body: JSON.stringify(message) });
      show(response.ok, `${response.status} ${readable(await response.text())}`);
    } catch (error) {
      show(false, `The gateway did not answer: ${error.message}`);
    }
  }

  // An error is a sentence for people; an answer is shown as it came.
  function readable(text) {
    try {
      return JSON.parse(text).error ?? text.trim();
    } catch {
      return text.trim();
    }
  }

  form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    send();
  });
  data.addEventListener("keydown", (press) => {
    if (press.key === "Enter" && (press.ctrlKey || press.metaKey)) {
      press.preventDefault();
      form.requestSubmit();
    }
  });
}
