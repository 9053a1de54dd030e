import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { launch, openPage } from "./lib/browser.mjs";
import { startGateway, startRedis, until } from "./lib/servers.mjs";

const LIMIT = { timeout: 90000 };

describe("the page in Chromium", { timeout: 600000 }, () => {
  let redis, gateway, browser;

  before(async () => {
    redis = await startRedis();
    gateway = await startGateway(redis);
    browser = await launch();
  }, LIMIT);

  after(async () => {
    await browser?.close();
    await gateway?.stop();
    await redis?.stop();
  }, LIMIT);

  // A page that listens, from the gateway to Redis: what is published from here on arrives.
  async function visit(hash, { at = gateway, channel = "", quiet = true } = {}) {
    const visitor = await openPage(browser, `${at.url}/${hash}`);
    await visitor.connected();
    if (channel) await until(() => redis.subscriptions(channel), `a subscription to ${channel}`);
    const close = visitor.close;
    visitor.close = async () => {
      await close();
      if (quiet) assert.deepEqual(visitor.errors, [], "the page's console");
    };
    return visitor;
  }

  const cells = async (row) => {
    const names = ["channel", "event", "id", "data"];
    const texts = await Promise.all(names.map((name) => row.locator(`td.${name}`).textContent()));
    return Object.fromEntries(names.map((name, i) => [name, texts[i]]));
  };

  test("what redis-cli publishes is shown on the page", LIMIT, async () => {
    const visitor = await visit("#channel=shown", { channel: "shown" });
    await redis.publish("shown", "from redis-cli");
    await visitor.row("from redis-cli").waitFor();
    assert.deepEqual(await cells(visitor.row("from redis-cli")), { channel: "shown", event: "", id: "", data: "from redis-cli" });
    assert.match(await visitor.row("from redis-cli").locator("td.time").textContent(), /^\d\d:\d\d:\d\d\.\d{3}$/);
    await visitor.close();
  });

  test("what the page publishes arrives on the page, and the answer is shown", LIMIT, async () => {
    const visitor = await visit("", { channel: "default" });
    await visitor.publish({ channel: "default", data: "from the page, über Redis" });
    await visitor.row("from the page, über Redis").waitFor();
    assert.equal(await visitor.answer(), '200 {"receivers":1}');
    await visitor.close();
  });

  test("a name typed with the keyboard alone is listened to and written into the address", LIMIT, async () => {
    const visitor = await visit("#channel=first", { channel: "first" });
    await visitor.listenTo("second one");
    await visitor.listenTo("typed.*");
    await visitor.connected();
    await until(() => redis.subscriptions("second one"), "a subscription");
    assert.equal(new URL(visitor.page.url()).hash, "#channel=first&channel=second+one&pattern=typed.*");
    await visitor.page.reload();
    await visitor.connected();
    const shown = await visitor.page.getByRole("list", { name: "Channels and patterns" }).locator("li span").allTextContents();
    assert.deepEqual(shown, ["first", "second one", "typed.*"]);
    await visitor.close();
  });

  test("a message that a channel and a pattern both match is one row", LIMIT, async () => {
    const visitor = await visit("#channel=both.a&pattern=both.*&pattern=*.a", { channel: "both.a" });
    await redis.publish("both.a", "matched three times");
    await redis.publish("both.b", "the end");
    await visitor.row("the end").waitFor();
    assert.equal(await visitor.row("matched three times").count(), 1);
    await visitor.close();
  });

  test("a payload with newlines is one row and keeps its lines", LIMIT, async () => {
    const visitor = await visit("#channel=lines", { channel: "lines" });
    await redis.publish("lines", "one\ntwo\n\nfour");
    await redis.publish("lines", "the end");
    await visitor.row("the end").waitFor();
    assert.equal(await visitor.page.locator("#rows tr").count(), 2);
    assert.equal((await cells(visitor.row("four"))).data, "one\ntwo\n\nfour");
    await visitor.close();
  });

  test("HTML in a payload, an event or a channel's name is shown as text", LIMIT, async () => {
    const html = `<img src=x onerror="window.ran=1"><script>window.ran=1</script>`;
    const visitor = await visit(`#${new URLSearchParams([["channel", html]])}`, { channel: html });
    await redis.publish(html, html);
    await visitor.row("onerror").waitFor();
    const { channel, data } = await cells(visitor.row("onerror"));
    assert.deepEqual({ channel, data }, { channel: html, data: html });
    assert.equal(await visitor.page.locator("#rows img, #rows script, #names img, #names script").count(), 0);
    assert.equal(await visitor.page.evaluate(() => window.ran), undefined);
    await visitor.close();
  });

  test("a list of many events stays bounded, with the newest on top", LIMIT, async () => {
    const visitor = await visit("#channel=many", { channel: "many" });
    const commands = Array.from({ length: 1200 }, (_, i) => `PUBLISH many event-${i + 1}\r\n`);
    await redis.pipe(commands.join(""));
    await visitor.row(/event-1200$/).waitFor();
    await until(async () => (await visitor.page.locator("#count").textContent()).replace(/\D/g, "") === "1200", "1,200 counted");
    assert.equal(await visitor.page.locator("#rows tr").count(), 500);
    const order = await visitor.page.locator("#rows td.data").allTextContents();
    assert.deepEqual(order, Array.from({ length: 500 }, (_, i) => `event-${1200 - i}`));
    await visitor.close();
  });

  test("a paused page holds events back until it is resumed, and Clear empties it", LIMIT, async () => {
    const visitor = await visit("#channel=paused", { channel: "paused" });
    await visitor.page.getByRole("button", { name: "Pause", exact: true }).click();
    await redis.publish("paused", "held back");
    await visitor.page.getByRole("button", { name: "Resume (1)" }).waitFor();
    assert.equal(await visitor.page.locator("#rows tr").count(), 0);
    await visitor.page.getByRole("button", { name: "Resume (1)" }).click();
    await visitor.row("held back").waitFor();
    await visitor.page.getByRole("button", { name: "Clear" }).click();
    assert.equal(await visitor.page.locator("#rows tr").count(), 0);
    await visitor.close();
  });

  test("a publish that is refused shows the gateway's reason", LIMIT, async () => {
    const visitor = await visit("#channel=refusals", { quiet: false });
    await visitor.publish({ channel: "refusals", event: "named", data: "a raw payload has no event name" });
    await until(async () => /^400 event: /.test(await visitor.answer()), "a 400 with a reason");
    assert.equal(await visitor.page.locator("#rows tr").count(), 0);
    await visitor.close();
    assert.equal(visitor.errors.length, 1, "only the browser's own line about the 400");
  });

  test("a stream that is refused shows the gateway's reason and is not asked for again", LIMIT, async () => {
    const visitor = await openPage(browser, `${gateway.url}/#channel=${encodeURIComponent("a*b")}`);
    const status = visitor.page.getByRole("status").filter({ hasText: /^refused: / });
    await status.waitFor();
    assert.match(await status.textContent(), /channel/);
    await visitor.page.getByRole("button", { name: "Connect", exact: true }).waitFor();
    await visitor.close();
  });

  test("an API key opens a gateway that asks for one, and is kept nowhere", LIMIT, async () => {
    const sha256 = createHash("sha256").update("correct-horse").digest("hex");
    const guarded = await startGateway(redis, {
      open: false, config: { keys: [{ name: "page", sha256, scopes: ["publish:guarded"] }] },
    });
    const visitor = await visit("#channel=guarded", { at: guarded, channel: "guarded", quiet: false });
    await visitor.publish({ channel: "guarded", data: "without" });
    await until(async () => /^401 /.test(await visitor.answer()), "401 without a key");
    await visitor.publish({ channel: "guarded", data: "with", key: "correct-horse" });
    await visitor.row(/with$/).waitFor();
    assert.equal(await visitor.row("without").count(), 0);
    const kept = await visitor.page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie, location.href].join());
    assert.equal(kept, `0,0,,${guarded.url}/#channel=guarded`);
    await visitor.close();
    await guarded.stop();
  });

  test("below a base path the page finds its files, its stream and where to publish", LIMIT, async () => {
    const below = await startGateway(redis, { args: ["--base-path", "/live/x"] });
    const visitor = await openPage(browser, `${below.url}/live/x/#channel=below`);
    await visitor.connected();
    await until(() => redis.subscriptions("below"), "a subscription");
    await visitor.publish({ channel: "below", data: "from below" });
    await visitor.row("from below").waitFor();
    await visitor.page.getByRole("status").filter({ hasText: /^Redis up$/ }).waitFor();
    await visitor.close();
    assert.deepEqual(visitor.errors, []);
    await below.stop();
  });

  test("the command that an empty page proposes publishes to what it listens to", LIMIT, async () => {
    const visitor = await visit("#channel=it%27s+a+%22name%22", { channel: `it's a "name"` });
    const curl = (await visitor.page.locator("#try").textContent()).split("\n")[1];
    await promisify(execFile)("sh", ["-c", curl.replace("curl ", "curl -sf --noproxy '*' ")]);
    await visitor.row("hello").waitFor();
    assert.equal((await cells(visitor.row("hello"))).channel, `it's a "name"`);
    await visitor.close();
  });

  test("the page allows nothing from elsewhere and nothing inline", LIMIT, async () => {
    const response = await fetch(`${gateway.url}/`);
    assert.match(response.headers.get("content-security-policy") ?? "", /default-src 'self'/);
    assert.doesNotMatch(response.headers.get("content-security-policy"), /unsafe/);
    assert.equal(response.headers.get("content-type"), "text/html; charset=utf-8");
    await response.text();
  });

  test("after the gateway was killed and started again on its port, the page comes back by itself", LIMIT, async () => {
    let mortal = await startGateway(redis);
    const visitor = await visit("#channel=mortal", { at: mortal, channel: "mortal", quiet: false });
    await mortal.kill();
    await visitor.page.getByRole("status").filter({ hasText: /^reconnecting/ }).waitFor();
    await until(async () => (await redis.subscriptions("mortal")) === 0, "Redis to see the gateway gone");
    mortal = await startGateway(redis, { port: mortal.port });
    await visitor.row("reconnected").waitFor();
    await until(() => redis.subscriptions("mortal"), "a new subscription");
    await redis.publish("mortal", "after the restart");
    await visitor.row("after the restart").waitFor();
    await visitor.close();
    await mortal.stop();
  });

  test("a native EventSource comes back by itself, and has each payload's lines as one event", LIMIT, async () => {
    let mortal = await startGateway(redis);
    const visitor = await visit("#channel=elsewhere", { at: mortal, quiet: false });
    await visitor.page.evaluate(() => {
      window.got = [];
      window.opened = 0;
      window.source = new EventSource("events?channel=native");
      window.source.onopen = () => window.opened++;
      window.source.onmessage = (event) => window.got.push(event.data);
    });
    const got = () => visitor.page.evaluate(() => window.got);
    await until(() => redis.subscriptions("native"), "a subscription");
    await redis.publish("native", "a\r\nb\rc\nd");
    await until(async () => (await got()).length === 1, "the first event");
    await mortal.kill();
    await until(async () => (await redis.subscriptions("native")) === 0, "Redis to see the gateway gone");
    mortal = await startGateway(redis, { port: mortal.port });
    await until(() => redis.subscriptions("native"), "a new subscription", 20000);
    await redis.publish("native", "second life");
    await until(async () => (await got()).length === 2, "the second event");
    assert.deepEqual(await got(), ["a\nb\nc\nd", "second life"]);
    assert.equal(await visitor.page.evaluate(() => window.opened), 2);
    await visitor.close();
    await mortal.stop();
  });

  test("a native EventSource misses nothing of a durable channel while it cannot reach its gateway", LIMIT, async () => {
    const config = { namespaces: [{ match: "ledger.*", history: { messages: 100, seconds: 600 } }, { match: "*" }] };
    const other = await startGateway(redis, { config });
    const publish = async (text) => {
      const response = await fetch(`${other.url}/publish/ledger.native`, { method: "POST", body: text });
      assert.equal(response.status, 200);
    };
    let mortal = await startGateway(redis, { config });
    const visitor = await visit("#channel=elsewhere", { at: mortal, quiet: false });
    await visitor.page.evaluate(() => {
      window.got = [];
      window.heads = 0;
      window.source = new EventSource("events?channel=ledger.native");
      window.source.addEventListener("sluice.head", () => window.heads++);
      window.source.onmessage = (event) => window.got.push(event.data);
    });
    const got = () => visitor.page.evaluate(() => window.got);
    await until(() => visitor.page.evaluate(() => window.heads > 0), "the head");
    await publish("one");
    await until(async () => (await got()).length === 1, "the first event");
    await mortal.kill();
    await publish("two");
    await publish("three");
    mortal = await startGateway(redis, { port: mortal.port, config });
    await until(async () => (await got()).length >= 3, "what was missed", 20000);
    await publish("four");
    await until(async () => (await got()).length >= 4, "what came after");
    assert.deepEqual(await got(), ["one", "two", "three", "four"]);
    await visitor.close();
    await mortal.stop();
    await other.stop();
  });

  // Last: it takes Redis away from everyone.
  test("when Redis goes and comes back, the page stays connected and shows a gap", LIMIT, async () => {
    const visitor = await visit("#channel=gappy", { channel: "gappy" });
    await redis.kill();
    await visitor.page.getByRole("status").filter({ hasText: /^Redis away/ }).waitFor();
    await redis.start();
    await visitor.row("sluice.gap").waitFor({ timeout: 30000 });
    assert.match((await cells(visitor.row("sluice.gap"))).data, /Redis was away/);
    await until(() => redis.subscriptions("gappy"), "a new subscription");
    await redis.publish("gappy", "after the gap");
    await visitor.row("after the gap").waitFor();
    assert.equal(await visitor.row("connection lost").count(), 0);
    await visitor.close();
  });
});
