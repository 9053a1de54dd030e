import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { EventSource } from "eventsource";
import { createParser } from "eventsource-parser";
import { startGateway, startRedis, until } from "./lib/servers.mjs";

const LIMIT = { timeout: 60000 };
const DURABLE = { namespaces: [{ match: "ledger.*", history: { messages: 100, seconds: 600 } }, { match: "*" }] };
const CONFIG = { namespaces: [{ match: "orders.*", payload: "envelope" }, { match: "*" }] };

describe("clients that others wrote", { timeout: 300000 }, () => {
  let redis, gateway;

  before(async () => {
    redis = await startRedis();
    gateway = await startGateway(redis, { config: CONFIG, args: ["--stream-heartbeat-seconds", "1"] });
  }, LIMIT);

  after(async () => {
    await gateway?.stop();
    await redis?.stop();
  }, LIMIT);

  // npm's eventsource on one channel, with everything it received.
  async function listen(query, channel, { at = gateway, events = [] } = {}) {
    const source = new EventSource(`${at.url}/events?${query}`);
    const got = [];
    const keep = (event) => got.push({ type: event.type, data: event.data });
    for (const type of ["message", ...events]) source.addEventListener(type, keep);
    await until(() => redis.subscriptions(channel), `a subscription to ${channel}`);
    return { got, close: () => source.close(), count: (n) => until(() => got.length >= n, () => `${n} events, got ${JSON.stringify(got)}`) };
  }

  // The raw bytes of a stream, through eventsource-parser.
  async function parse(query, channel) {
    const abort = new AbortController();
    const response = await fetch(`${gateway.url}/events?${query}`, { signal: abort.signal });
    const got = { status: response.status, headers: response.headers, events: [], comments: [], retries: [], errors: [] };
    const parser = createParser({
      onEvent: (event) => got.events.push(event),
      onComment: (text) => got.comments.push(text.trim()),
      onRetry: (ms) => got.retries.push(ms),
      onError: (error) => got.errors.push(error.message),
    });
    const decoder = new TextDecoder("utf-8", { fatal: true });
    const done = (async () => {
      try {
        for await (const chunk of response.body) parser.feed(decoder.decode(chunk, { stream: true }));
      } catch (error) {
        if (error.name !== "AbortError") got.errors.push(String(error));
      }
    })();
    if (channel) await until(() => redis.subscriptions(channel), `a subscription to ${channel}`);
    got.close = async () => {
      abort.abort();
      await done;
    };
    return got;
  }

  test("npm eventsource has a raw payload as an unnamed event", LIMIT, async () => {
    const client = await listen("channel=raw", "raw");
    await redis.publish("raw", '{"event":"not read","data":1}');
    await client.count(1);
    assert.deepEqual(client.got, [{ type: "message", data: '{"event":"not read","data":1}' }]);
    client.close();
  });

  test("npm eventsource has an envelope's event as a named event, published either way", LIMIT, async () => {
    const client = await listen("channel=orders.named", "orders.named", { events: ["order.created"] });
    await redis.publish("orders.named", '{"event":"order.created","data":{"id": 7}}');
    await client.count(1);
    const answer = await fetch(`${gateway.url}/publish/orders.named?event=order.created`, { method: "POST", body: "by HTTP" });
    assert.deepEqual(await answer.json(), { receivers: 1 });
    await client.count(2);
    assert.deepEqual(client.got, [
      { type: "order.created", data: '{"id":7}' },
      { type: "order.created", data: "by HTTP" },
    ]);
    client.close();
  });

  test("npm eventsource has wrapped events unnamed, with channel and event inside", LIMIT, async () => {
    const client = await listen("pattern=orders.*&channel=wrapped&wrap=1", "wrapped", { events: ["order.paid"] });
    await redis.publish("orders.7", '{"event":"order.paid","data":"yes"}');
    await client.count(1);
    await redis.publish("wrapped", "plain");
    await client.count(2);
    assert.deepEqual(client.got.map(({ type, data }) => ({ type, ...JSON.parse(data) })), [
      { type: "message", channel: "orders.7", event: "order.paid", data: "yes", id: null },
      { type: "message", channel: "wrapped", event: null, data: "plain", id: null },
    ]);
    client.close();
  });

  test("npm eventsource comes back by itself after the gateway was killed", LIMIT, async () => {
    let mortal = await startGateway(redis);
    const client = await listen("channel=killed", "killed", { at: mortal });
    await redis.publish("killed", "before");
    await client.count(1);
    await mortal.kill();
    await until(async () => (await redis.subscriptions("killed")) === 0, "Redis to see the gateway gone");
    mortal = await startGateway(redis, { port: mortal.port });
    await until(() => redis.subscriptions("killed"), "a new subscription", 20000);
    await redis.publish("killed", "after");
    await client.count(2);
    assert.deepEqual(client.got.map(({ data }) => data), ["before", "after"]);
    client.close();
    await mortal.stop();
  });

  test("npm eventsource misses nothing of a durable channel while its gateway is dead", LIMIT, async () => {
    const other = await startGateway(redis, { config: DURABLE });
    const publish = async (text) => {
      const response = await fetch(`${other.url}/publish/ledger.npm`, { method: "POST", body: text });
      assert.equal(response.status, 200);
    };
    let mortal = await startGateway(redis, { config: DURABLE });
    const client = await listen("channel=ledger.npm", "ledger.npm", { at: mortal, events: ["sluice.head"] });
    await client.count(1); // the head: what comes after it is this client's
    const messages = () => client.got.filter(({ type }) => type === "message").map(({ data }) => data);
    await publish("one");
    await until(() => messages().length === 1, "the first");
    await mortal.kill();
    await publish("two");
    await publish("three");
    mortal = await startGateway(redis, { port: mortal.port, config: DURABLE });
    await until(() => messages().length >= 3, () => `what was missed, got ${JSON.stringify(client.got)}`, 20000);
    await publish("four");
    await until(() => messages().length >= 4, "what came after");
    assert.deepEqual(messages(), ["one", "two", "three", "four"]);
    assert.ok(!client.got.some(({ type }) => type === "sluice.gap"));
    client.close();
    await mortal.stop();
    await other.stop();
  });

  test("eventsource-parser reads retry, comments, events and heartbeats without an error", LIMIT, async () => {
    const stream = await parse("channel=parsed", "parsed");
    await until(() => stream.comments.length > 0, "a first comment");
    await redis.publish("parsed", "one event");
    await until(() => stream.events.length > 0, "the event");
    const before_ = stream.comments.length;
    await until(() => stream.comments.length > before_, "a heartbeat");
    await stream.close();
    assert.deepEqual(stream.errors, []);
    assert.equal(stream.status, 200);
    assert.match(stream.headers.get("content-type"), /^text\/event-stream/);
    assert.equal(stream.headers.get("cache-control"), "no-cache, no-transform");
    assert.equal(stream.headers.get("x-accel-buffering"), "no");
    assert.equal(stream.comments.at(0), "subscribed");
    assert.equal(stream.retries.length, 1);
    assert.ok(stream.retries[0] >= 2000 && stream.retries[0] <= 10000, `retry: ${stream.retries[0]}`);
    assert.deepEqual(stream.events.map(({ data, event, id }) => ({ data, event, id })), [{ data: "one event", event: undefined, id: undefined }]);
  });

  test("eventsource-parser has every awkward payload as one event", LIMIT, async () => {
    const payloads = ["", " leads with a space", ":colon", "data: x\nid: 9\nevent: forged\n\ndata: y", "\n", "a\r\nb\rc", "ends\n",
      "\ufeffbom", "😀 über 漢字", "tab\there", "x".repeat(300000), "nul\0nul", "\u2028\u2029\u0085"];
    const stream = await parse("channel=awkward", "awkward");
    for (const payload of payloads) await redis.publish("awkward", payload);
    await redis.publish("awkward", Buffer.from([0x61, 0xff, 0xf0, 0x9f, 0x62]));
    await until(() => stream.events.length > payloads.length, () => `${payloads.length + 1} events, got ${stream.events.length}`);
    await stream.close();
    assert.deepEqual(stream.errors, []);
    const expected = [...payloads.map((payload) => payload.replace(/\r\n?/g, "\n")), "a\ufffd\ufffdb"];
    assert.deepEqual(stream.events.map(({ data }) => data), expected);
    assert.ok(stream.events.every(({ event, id }) => event === undefined && id === undefined));
  });

  test("curl -N prints the stream as it arrives", LIMIT, async () => {
    const curl = spawn("curl", ["-sN", "--noproxy", "*", "--max-time", "30", `${gateway.url}/events?channel=curl`]);
    let text = "";
    curl.stdout.on("data", (bytes) => (text += bytes));
    await until(() => text.includes(": subscribed\n\n"), () => `the comment, got ${text}`);
    await redis.publish("curl", "first\nsecond");
    await until(() => text.includes("data: first\ndata: second\n\n"), () => `the event, got ${text}`);
    curl.kill();
    assert.match(text, /^retry: \d+\n\n: subscribed\n\n/);
  });
});
