// A redis-server and a gateway of the test's own, on free loopback ports, ended by their process
// ids. Every wait has an end.

import { spawn, execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const START_MS = 30000; // the gateway with sanitizers, on a machine that is busy with other tests
const STOP_MS = 15000;
const SLUICE = process.env.SLUICE_BIN ?? new URL("../../../build/asan/sluice", import.meta.url).pathname;

const children = new Set();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

// until: waits for what() to be truthy and answers that; `describe` says at the end what was missing.
export async function until(what, describe, ms = 10000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await what();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${typeof describe === "function" ? describe() : describe}`);
    await sleep(20);
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

// start: a child whose output is kept in `log`; stop ends it with the signal and answers how it ended.
function start(command, args) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  const process_ = { child, log: "", ended: null };
  children.add(child);
  child.stdout.on("data", (bytes) => (process_.log += bytes));
  child.stderr.on("data", (bytes) => (process_.log += bytes));
  child.on("error", (error) => (process_.ended = { error: error.message }));
  child.on("exit", (code, signal) => {
    children.delete(child);
    process_.ended = { code, signal };
  });
  process_.stop = async (signal = "SIGTERM") => {
    if (!process_.ended) child.kill(signal);
    return until(() => process_.ended, `the end of ${command} ${child.pid}\n${process_.log}`, STOP_MS);
  };
  process_.says = (pattern) => until(() => {
    if (process_.ended) throw new Error(`${command} ended: ${JSON.stringify(process_.ended)}\n${process_.log}`);
    return pattern.exec(process_.log);
  }, () => `${pattern} from ${command}\n${process_.log}`, START_MS);
  return process_;
}

export async function startRedis() {
  const folder = await mkdtemp(join(tmpdir(), "sluice-redis-"));
  const port = await freePort();
  const redis = { port, process: null };
  redis.start = async () => {
    redis.process = start("redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder,
      "--save", "", "--appendonly", "no", "--daemonize", "no"]);
    await redis.process.says(/Ready to accept connections/);
  };
  redis.kill = () => redis.process.stop("SIGKILL");
  redis.stop = async () => {
    await redis.process.stop("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  };
  // The payload goes through standard input, so it may hold any byte.
  redis.publish = (channel, payload) => cli(port, ["-x", "PUBLISH", channel], payload);
  redis.pipe = (commands) => cli(port, ["--pipe"], commands);
  redis.subscriptions = async (channel) => Number((await cli(port, ["PUBSUB", "NUMSUB", channel])).trim().split("\n")[1]);
  await redis.start();
  return redis;
}

function cli(port, args, input = "") {
  return new Promise((resolve, reject) => {
    const child = execFile("redis-cli", ["-h", "127.0.0.1", "-p", String(port), ...args],
      { timeout: START_MS }, (error, stdout, stderr) => (error ? reject(new Error(`${error.message}\n${stderr}`)) : resolve(stdout)));
    child.stdin.on("error", () => {}); // it may end before it has read all; then its answer says why
    child.stdin.end(input);
  });
}

// startGateway: port 0 takes a free one. config, an object, becomes a file. open: without API keys.
export async function startGateway(redis, { port = 0, open = true, args = [], config = null } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "sluice-gateway-"));
  const words = ["serve", "--listen", `127.0.0.1:${port}`, "--redis", `redis://127.0.0.1:${redis.port}/0`, ...args];
  if (open) words.push("--open");
  if (config) {
    await writeFile(join(folder, "sluice.json"), JSON.stringify(config));
    words.push("--config", join(folder, "sluice.json"));
  }
  const gateway = start(SLUICE, words);
  gateway.port = Number((await gateway.says(/listening on 127\.0\.0\.1:(\d+)/))[1]);
  gateway.url = `http://127.0.0.1:${gateway.port}`;
  await gateway.says(/redis ready/);
  const stop = gateway.stop;
  const end = async (signal) => {
    const ended = await stop(signal);
    await rm(folder, { recursive: true, force: true });
    return ended;
  };
  gateway.kill = () => end("SIGKILL");
  // A clean end is part of every test: a sanitizer's report makes the exit status another than 0.
  gateway.stop = async () => {
    const ended = await end("SIGTERM");
    if (ended.signal !== "SIGKILL" && ended.code !== 0) {
      throw new Error(`the gateway ended with ${JSON.stringify(ended)}\n${gateway.log}`);
    }
  };
  return gateway;
}
