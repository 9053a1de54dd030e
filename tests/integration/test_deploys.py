"""Deploys lose nothing: a second gateway takes over the clients of one that is drained or killed."""

import itertools
import signal
import threading
from urllib.parse import urlencode

import pytest

from harness import http
from harness.process import until
from harness.sse import Closed, Event, Stream

HISTORY = {"messages": 100000, "seconds": 3600}
NAMESPACES = [{"match": "d.*", "history": HISTORY}, {"match": "*"}]


def number(ident):
    ms, rest = ident.split("-")
    return int(ms) * 1000 + int(rest)


class Follower:
    """A client that comes back with the last id it had, and never reads half an event."""

    def __init__(self, *channels, pattern=(), wrapped=False):
        pairs = [("channel", c) for c in channels] + [("pattern", p) for p in pattern]
        self.target = "/events?" + urlencode(pairs + ([("wrap", "1")] if wrapped else []))
        self.wrapped = wrapped
        self.cursor, self.stream = None, None
        self.given, self.ids = [], []

    def join(self, gateway):
        """A stream at this gateway, read until it has an id to come back with."""
        if self.stream:
            self.stream.close()
        headers = [("Last-Event-ID", self.cursor)] if self.cursor else []
        self.stream = Stream(gateway.address, self.target, headers)
        assert self.stream.status == 200, self.stream.response
        until(lambda: self._take(5.0) or self.cursor, 10, "an id")
        return self

    def _take(self, timeout):
        item = self.stream.next(timeout)
        if not isinstance(item, Event):
            return
        assert item.event != "sluice.gap", item
        if not item.event.startswith("sluice."):
            self.given.append(item.json()["data"] if self.wrapped else item.data)
            self.ids.append(number(item.id))
        self.cursor = item.id or self.cursor

    def read_to(self, last, timeout=10.0):
        """Reads until it has had `last` itself."""
        until(lambda: last in self.given[-1:] or self._take(timeout), timeout, f"{last!r}", step=0)
        return self

    def read_to_end(self):
        """Reads what the gateway still says before it closes."""
        with pytest.raises((Closed, ConnectionError)):
            while True:
                self._take(10.0)

    def assert_exactly(self, wanted):
        assert self.given == wanted
        assert self.ids == sorted(set(self.ids))


@pytest.fixture
def pair(redis, start_gateway):
    """Two gateways on one Redis."""
    return [start_gateway(redis, namespaces=NAMESPACES) for _ in range(2)]


class Publisher:
    """Publishes 0, 1, 2, … over HTTP, each until it is accepted, at whichever gateway answers."""

    def __init__(self, gateways, channel):
        self.gateways, self.channel = gateways, channel
        self.sent, self.over = [], threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """All that was published, in order."""
        self.over.set()
        self.thread.join(15)
        assert not self.thread.is_alive() and not self.failure, self.failure
        return self.sent

    def _run(self):
        try:
            for n in itertools.count():
                if self.over.wait(0.003):
                    break
                self._publish(f"{self.channel} {n}")
                self.sent.append(f"{self.channel} {n}")
        except AssertionError as why:
            self.failure = why

    def _publish(self, text):
        for attempt in range(200):
            address = self.gateways[attempt % len(self.gateways)].address
            try:
                answer = http.request(address, "POST", "/publish",
                                      body={"channel": self.channel, "data": text, "key": text}, timeout=3)
            except (OSError, AssertionError):  # it went in the middle of it
                self.over.wait(0.02)
                continue
            if answer.status == 200:
                assert list(answer.json()) == ["id"], answer
                return
            assert answer.status == 503, answer
            self.over.wait(0.02)
        raise AssertionError(f"{text!r} was never accepted")


def ended(gateway, how):
    if how == "killed":
        gateway.child.kill()
        gateway.child.wait(10)
        gateway.close_streams()
    else:
        gateway.child.send_signal(signal.SIGTERM)


@pytest.mark.threads
@pytest.mark.parametrize("how", ["drained", "killed"])
def test_a_second_gateway_takes_over_the_clients_of_one_that_is(how, pair, makers):
    first, second = pair
    followers = [Follower("d.one", wrapped=n % 2 == 1).join(first) for n in range(10)]
    with Publisher([second, first], "d.one") as publisher:
        for follower in followers:
            follower.read_to("d.one 20")
        ended(first, how)
        for follower in followers:
            follower.read_to_end()
            follower.join(second)
        until(lambda: len(publisher.sent) > 100, 10, "more messages")
    sent = publisher.stop()
    for follower in followers:
        follower.read_to(sent[-1]).assert_exactly(sent)
    if how == "killed":
        makers.made.remove(first)
        first.clean()


@pytest.mark.threads
def test_a_gateway_that_never_heard_of_the_channel_gives_what_its_clients_missed(redis, pair):
    first, second = pair
    follower = Follower("d.cold").join(first)
    first.post("/publish/d.cold", "0")
    follower.read_to("0")
    first.stop()
    wanted = ["0"]
    for n in range(1, 50):  # nobody listens anywhere
        assert second.post("/publish/d.cold", str(n)).status == 200
        wanted.append(str(n))
    follower.join(second).read_to("49").assert_exactly(wanted)


def test_clients_resume_after_all_gateways_were_gone_at_once(redis, pair, start_gateway):
    followers = [Follower("d.x", "d.y").join(pair[n % 2]) for n in range(4)]
    pair[0].post("/publish/d.x", "before")
    for follower in followers:
        follower.read_to("before")
    for gateway in pair:
        gateway.stop()
    for n in range(20):
        redis.cli("FCALL", "sluice_publish", 1, "sluice:", f"d.{'xy'[n % 2]}", f"while {n}",
                  "messages", HISTORY["messages"], "seconds", HISTORY["seconds"])
    fresh = start_gateway(redis, namespaces=NAMESPACES)
    for follower in followers:
        follower.join(fresh).read_to("while 19")
        follower.assert_exactly(["before"] + [f"while {n}" for n in range(20)])


def test_one_last_id_resumes_many_channels_and_patterns_at_the_other_gateway(pair):
    first, second = pair
    channels = [f"d.many.{n}" for n in range(10)]
    follower = Follower(*channels, "d.alone", pattern=["d.many.*", "d.p*"], wrapped=True).join(first)
    wanted = []

    def publish(count):
        for n in range(count):
            name = (channels + ["d.alone", "d.pattern"])[n * 7 % 12]
            wanted.append(f"{name} {len(wanted)}")
            assert second.post(f"/publish/{name}", wanted[-1]).status == 200

    publish(24)
    follower.read_to(wanted[-1])
    first.stop()
    publish(48)
    follower.join(second).read_to(wanted[-1])
    publish(24)
    follower.read_to(wanted[-1]).assert_exactly(wanted)


@pytest.mark.deadline(60)
def test_a_rolling_deploy_under_load_neither_loses_nor_doubles(redis, pair, start_gateway):
    gateways = list(pair)
    followers = [Follower("d.roll").join(gateways[n % 2]) for n in range(8)]
    with Publisher(gateways, "d.roll") as publisher:
        for turn in range(4):
            old, other = gateways[turn % 2], gateways[1 - turn % 2]
            moved = [f for f in followers if f.stream.sock.getpeername()[1] == old.ports[0]]
            old.child.send_signal(signal.SIGTERM)
            for follower in moved:
                follower.read_to_end()
                follower.join(other)
            old.stop()
            gateways[turn % 2] = start_gateway(redis, namespaces=NAMESPACES)
            publisher.gateways = list(gateways)
            for follower in moved[::2]:  # and some go on to the new one at once
                follower.join(gateways[turn % 2])
            before = len(publisher.sent)
            until(lambda: len(publisher.sent) > before + 20, 10, "more messages")
    sent = publisher.stop()
    for follower in followers:
        follower.read_to(sent[-1]).assert_exactly(sent)


def test_a_message_too_large_to_be_written_at_once_is_whole_after_its_gateway_is_killed(pair, makers):
    first, second = pair
    follower = Follower("d.large").join(first)
    follower.stream.close()
    headers = [("Last-Event-ID", follower.cursor)]
    follower.stream = Stream(first.address, follower.target, headers, receive_buffer=4096)
    texts = [str(n) * 900000 for n in range(3)]
    for text in texts:
        assert second.post("/publish/d.large", text).status == 200
    first.wait_metric("sluice_connections", 1)
    ended(first, "killed")  # in the middle of the first one
    follower.read_to_end()
    follower.join(second).read_to(texts[-1]).assert_exactly(texts)
    makers.made.remove(first)
    first.clean()
