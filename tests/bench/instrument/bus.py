"""The rows of the invalidation bus: how soon peers hear, how soon all have confirmed, and big tags."""

import contextlib
import json
import statistics
import threading
import time

from harness.gateway import Gateway
from harness.redis import Redis
from harness.resp import Resp

from .durable import DURABLE
from .peers import Line, Listener, Loop
from .report import Figure, Row, ratio
from .targets import CLIENT_CORE, SERVER_CORE

PEERS = 100
PATIENT = {"request_seconds": 120}  # a connection that waits for its row's turn is kept


def at_share(values, share):
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def milliseconds(values, what, share=0.99):
    return Figure([at_share(v, share) * 1e3 for v in values], "ms " + what)


def gateways(stack, count):
    """So many on one core, and their Redis."""
    redis = Redis(within=CLIENT_CORE)
    stack.callback(redis.close)
    out = []
    for _ in range(count):
        out.append(Gateway(redis, kind="release", within=SERVER_CORE, workers=1, limits=PATIENT, **DURABLE))
        stack.callback(out[-1].clean)
    return redis, out


# ---- accepted to received ------------------------------------------------------------------------


class Receivers:
    """Listeners, all on one gateway, who note when a message has reached the last of them."""

    def __init__(self, loop, gateway, targets, event):
        self.loop, self.event, self.missing, self.took = loop, event, {}, {}
        self.all = [Listener(loop, gateway.address, target, self.take) for target in targets]
        self.line = Line(loop, gateway.address)

    def take(self, _listener, event, event_id, _data):
        if event != self.event or event_id not in self.missing:
            return
        self.missing[event_id] -= 1
        if not self.missing[event_id]:
            self.took[event_id] = time.time() - event_id / 1e6

    def send(self, target, body, count, pause):
        """One at a time; the seconds each took from Redis's own time, which its id is, to the last read."""
        out = []
        for _ in range(count):
            reads = {}
            self.missing = Counts(len(self.all), reads)
            answer = self.line.post(target, body)
            event_id = id_number(json.loads(answer)["id"])
            self.loop.until(lambda i=event_id: i in self.took, 10)
            out.append(self.took[event_id])
            self.loop.spend(pause)
        return out


class Counts(dict):
    """How many have not read an id yet: a message may be read before its publisher has the id."""

    def __init__(self, start, values):
        super().__init__(values)
        self.start = start

    def __contains__(self, _key):
        return True

    def __missing__(self, key):
        self[key] = self.start
        return self.start


def id_number(text):
    ms, us = text.split("-")
    return int(ms) * 1000 + int(us)


def feed(plan):
    count = 100 if plan.quick else 500
    row = Row("feed", f"an invalidation accepted by Redis to its read by the last of {PEERS} peers")
    with contextlib.ExitStack() as stack:
        _, (gateway,) = gateways(stack, 1)
        loop = stack.enter_context(contextlib.closing(Loop()))
        clients = Receivers(loop, gateway, ["/events?channel=b0"] * PEERS, None)
        peers = Receivers(loop, gateway, [f"/invalidations?peer=p{i}" for i in range(PEERS)], "invalidate")
        loop.spend(0.5)
        durable, told = [], []
        for _ in range(plan.rounds):
            durable.append(clients.send("/publish/b0", b"x" * 100, count, 0.002))
            told.append(peers.send("/invalidate", b'{"keys":["product:1"]}', count, 0.002))
        for what, values in (("a durable message", durable), ("an invalidation", told)):
            row.figure("sluice", milliseconds(values, f"p50 {what}", 0.5))
        theirs = row.figure("sluice", milliseconds(durable, "p99 a durable message"))
        ours = row.figure("sluice", milliseconds(told, "p99 an invalidation"))
        row.bound("p99, invalidation / durable message", ratio(ours, theirs), 2, quick=5)
        row.note(f"{count} of each a round, one at a time, read by one Python process")
    return row


# ---- confirmed by all ----------------------------------------------------------------------------


class Peer:
    """Confirms at once whatever has an id; `line` is its connection for that."""

    def __init__(self, loop, gateway, name):
        self.session = None
        self.line = Line(loop, gateway.address)
        self.feed = Listener(loop, gateway.address, f"/invalidations?peer={name}", self.take)

    def take(self, _listener, event, event_id, data):
        if event == "hello":
            self.session = json.loads(data)["session"]
        if event_id:
            body = f'{{"session":"{self.session}","id":"{event_id // 1000}-{event_id % 1000}"}}'
            self.line.begin("/invalidations/ack", body.encode())


def confirmed(line):
    began = time.monotonic()
    answer = json.loads(line.post("/invalidate?wait=all&timeout_ms=5000", b'{"keys":["product:1"]}'))
    took = time.monotonic() - began
    assert not answer["pending"] and "settling" not in answer and len(answer["acked"]) == PEERS, answer
    return took


def settle(loop, line):
    """A Redis that has just begun may not know every peer yet, and for a while no wait is answered with 200."""
    for _ in range(20):
        left = json.loads(line.post("/invalidate?wait=all&timeout_ms=1", b'{"keys":["product:1"]}')).get("settling")
        if not left:
            return
        loop.spend(left / 1e3)
    raise AssertionError("peers do not settle")


def bare_posts(loop, peers):
    """One POST on each peer's connection, all at once, each a PUBLISH that nobody hears."""
    loop.until(lambda: not any(p.line.open for p in peers), 10)
    began = time.monotonic()
    for peer in peers:
        peer.line.begin("/publish/nobody", b"x")
    loop.until(lambda: not any(p.line.open for p in peers), 10)
    return time.monotonic() - began


def wait_all(plan):
    count = 50 if plan.quick else 300
    row = Row("wait_all", f"POST /invalidate?wait=all: {PEERS} peers on two gateways, each confirming at once")
    with contextlib.ExitStack() as stack:
        _, both = gateways(stack, 2)
        loop = stack.enter_context(contextlib.closing(Loop()))
        clients = Receivers(loop, both[0], ["/events?channel=b0"] * PEERS, None)
        peers = [Peer(loop, both[i % 2], f"p{i}") for i in range(PEERS)]
        line = Line(loop, both[0].address)
        loop.until(lambda: all(p.session for p in peers), 10)
        settle(loop, line)
        waits, posts, deliveries = [], [], []
        for _ in range(plan.rounds):
            deliveries.append(clients.send("/publish/b0", b"x" * 100, count, 0))
            posts.append([bare_posts(loop, peers) for _ in range(count)])
            waits.append([confirmed(line) for _ in range(count)])
        ours = row.figure("sluice", milliseconds(waits, "p99"))
        row.figure("sluice", milliseconds(waits, "p50", 0.5))
        bare = row.figure("sluice", milliseconds(posts, f"p99 {PEERS} bare POSTs"))
        one = row.figure("sluice", milliseconds(deliveries, "p99 a delivery to all"))
        floor = Figure([a + b for a, b in zip(bare.values, one.values)], "ms")
        row.bound("p99 / 100 bare POSTs and a delivery", ratio(ours, floor), 2, quick=5)
        usual = Figure([statistics.median(a) + statistics.median(b) for a, b in zip(posts, deliveries)], "")
        row.bound("the same of the medians", ratio(Figure([statistics.median(w) for w in waits], ""), usual), None)
        row.note("a bare POST is a PUBLISH that nobody hears; one Python process is all peers, both gateways have one core")
    return row


# ---- big tags ------------------------------------------------------------------------------------


class Pinger(threading.Thread):
    """Another client of Redis: how long its requests wait."""

    def __init__(self, redis):
        super().__init__(daemon=True)
        self.line, self.over, self.waits = Resp(redis.socket, 20), threading.Event(), []

    def run(self):
        while not self.over.is_set():
            began = time.monotonic()
            self.line.call("PING")
            self.waits.append(time.monotonic() - began)
            self.over.wait(0.0002)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(20)
        self.line.close()


def fill(redis, tag, members):
    for first in range(0, members, 1000):
        keys = [f"product:{first + i}" for i in range(1000)]
        redis.pipeline([["MSET", *(word for key in keys for word in (key, "x" * 100))], ["SADD", tag, *keys]])


def big_tag(plan):
    members = 100000
    row = Row("big_tag", f"a tag of {members} keys is invalidated: how long other requests of Redis wait")
    worst, usual, took = [], [], []
    with contextlib.ExitStack() as stack:
        redis, (gateway,) = gateways(stack, 1)
        for _ in range(plan.rounds):
            fill(redis, "tag:big", members)
            with Pinger(redis) as pinger:
                time.sleep(0.3)
                before, began = len(pinger.waits), time.monotonic()
                answer = gateway.post("/invalidate", b'{"tags":["big"]}', timeout=30)
                took.append((time.monotonic() - began) * 1e3)
            assert answer.status == 200 and answer.json()["tags"] == {"big": members}, answer
            assert redis.cli("DBSIZE") < 100, "keys of the tag are left"
            worst.append(max(pinger.waits[before:]) * 1e3)
            usual.append(max(pinger.waits[10:before]) * 1e3)
    row.figure("sluice", Figure(took, "ms the whole invalidation", 0))
    row.figure("sluice", Figure(usual, "ms the longest wait before"))
    row.bound("the longest wait meanwhile, ms", row.figure("sluice", Figure(worst, "ms the longest wait")), 20, quick=60)
    return row


ROWS = {f.__name__: f for f in (feed, wait_all, big_tag)}
