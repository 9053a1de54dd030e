// HTTP/2 in Chromium: more streams in a tab than HTTP/1.1 would have connections.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launch, openPage } from "./lib/browser.mjs";
import { startGateway, startRedis, until } from "./lib/servers.mjs";

const LIMIT = { timeout: 90000 };
const STREAMS = 12; // twice what HTTP/1.1 allows to one host

describe("HTTP/2 in Chromium", { timeout: 300000 }, () => {
  let redis, gateway, browser, folder;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-tls-"));
    const cert = join(folder, "cert.pem"), key = join(folder, "key.pem");
    execFileSync("openssl", ["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-newkey", "ec",
      "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key, "-out", cert], { stdio: "ignore" });
    redis = await startRedis();
    gateway = await startGateway(redis, { args: ["--tls-cert", cert, "--tls-key", key] });
    gateway.url = gateway.url.replace("http:", "https:");
    browser = await launch(["--ignore-certificate-errors"]);
  }, LIMIT);

  after(async () => {
    await browser?.close();
    await gateway?.stop();
    await redis?.stop();
    if (folder) await rm(folder, { recursive: true, force: true });
  }, LIMIT);

  test("the page comes over HTTP/2, and what is published is shown on it", LIMIT, async () => {
    const visitor = await openPage(browser, `${gateway.url}/#channel=shown`);
    await visitor.connected();
    await until(() => redis.subscriptions("shown"), "a subscription");
    await redis.publish("shown", "over HTTP/2");
    await visitor.row("over HTTP/2").waitFor();
    const protocol = await visitor.page.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol);
    assert.equal(protocol, "h2");
    assert.deepEqual(visitor.errors, [], "the page's console");
    await visitor.close();
  });

  test(`${STREAMS} EventSources of one tab share a connection and each get their events`, LIMIT, async () => {
    const visitor = await openPage(browser, `${gateway.url}/`);
    await visitor.page.evaluate((count) => {
      window.got = Array.from({ length: count }, () => []);
      window.sources = window.got.map((list, n) => {
        const source = new EventSource(`/events?channel=tab.${n}&channel=all`);
        source.onmessage = (event) => list.push(event.data);
        return source;
      });
    }, STREAMS);
    await until(async () => (await redis.subscriptions(`tab.${STREAMS - 1}`)) === 1, "the last subscription");
    await until(() => visitor.page.evaluate(() => window.sources.every((source) => source.readyState === 1)), "all to be open");
    for (let n = 0; n < STREAMS; n++) await redis.publish(`tab.${n}`, `only ${n}`);
    await redis.publish("all", "for all");
    const got = await until(async () => {
      const lists = await visitor.page.evaluate(() => window.got);
      return lists.every((list) => list.length >= 2) && lists;
    }, "two events on each");
    assert.deepEqual(got, Array.from({ length: STREAMS }, (_, n) => [`only ${n}`, "for all"]));
    const metrics = await visitor.page.evaluate(async () => (await fetch("/metrics")).text());
    assert.match(metrics, /^sluice_http2_connections 1$/m);
    assert.match(metrics, new RegExp(`^sluice_connections ${STREAMS + 1}$`, "m")); // and the page's own
    await visitor.close();
  });

  test("a tab that is closed takes its streams along", LIMIT, async () => {
    const visitor = await openPage(browser, `${gateway.url}/#channel=closing`);
    await visitor.connected();
    await until(async () => (await redis.subscriptions("closing")) === 1, "a subscription");
    await visitor.close();
    await until(async () => (await redis.subscriptions("closing")) === 0, "nobody to listen");
  });
});
