"""
The swarm is the judge of every figure: here it must find each fault that a server may have. One fake
is both the Redis that it publishes to and the server that it reads from, and does one thing wrong.
"""

import json
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "integration"))

from harness import tls  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/bench"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.fixture(scope="session")
def swarm_binary():
    for argv in (["cmake", "-S", str(ROOT / "tests/bench"), "-B", str(BUILD), "-G", "Ninja"],
                 ["cmake", "--build", str(BUILD), "--target", "swarm"]):
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=120)
    return str(BUILD / "swarm")


class Fake:
    """Delivers each payload as deliver(number, payload) says: the bytes that go out, in pieces."""

    def __init__(self, deliver, context=None):
        self.deliver, self.count, self.streams, self.halves = deliver, 0, [], {}
        self.context, self.greet = context, lambda request: b""
        self.http, self.redis = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        socks = {self.http, self.redis}
        while not self.over.is_set():
            for s in select.select(socks, [], [], 0.05)[0]:
                if s in (self.http, self.redis):
                    conn = s.accept()[0]
                    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    if s is self.http and self.context:
                        conn = self.context.wrap_socket(conn, server_side=True, suppress_ragged_eofs=True)
                    self.halves[conn] = (s is self.http, b"")
                    socks.add(conn)
                elif not self._read(s):
                    socks.discard(s)
        for s in socks:
            s.close()

    def _read(self, conn):
        is_http, had = self.halves[conn]
        data = conn.recv(65536)
        had += data
        if is_http and had.endswith(b"\r\n\r\n"):
            conn.sendall(HEAD + b"retry: 2000\n\n: subscribed\n\n" + self.greet(had))
            self.streams.append(conn)
            had = b""
        while not is_http and had.count(b"\r\n") >= (lines := 2 * int(had[1:2] or b"9") + 1):
            *parts, had = had.split(b"\r\n", lines)
            conn.sendall(b"$5\r\n77-07\r\n" if parts[2] == b"FCALL" else b":1\r\n")
            self._publish(parts[-1])
        self.halves[conn] = (is_http, had)
        return data

    def _publish(self, payload):
        for piece in self.deliver(self.count, payload):
            for stream in self.streams:
                stream.sendall(piece() if callable(piece) else piece)
        self.count += 1

    def close(self):
        self.over.set()
        self.thread.join(5)


def frame(payload, number=None):
    return (b"id: 1700000000000-%d\n" % number if number is not None else b"") + b"data: " + payload + b"\n\n"


@pytest.fixture(scope="session")
def secure(tmp_path_factory):
    pair = tls.Pair(tmp_path_factory.mktemp("pair"), "swarm")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    return context


def measure(binary, deliver, messages=5, window=1, size=100, seconds=2, secure=None, more=""):
    fake = Fake(deliver, secure)
    ports = [str(s.getsockname()[1]) for s in (fake.http, fake.redis)]
    orders = f"connect streams=3\npublish messages={messages} window={window} bytes={size} seconds={seconds} {more}\n"
    try:
        done = subprocess.run([binary, "sluice", ports[0], str(os.getpid()), ports[1], "b", "tls" if secure else "clear"],
                              input=orders.encode(), stdout=subprocess.PIPE, timeout=30, check=True)
    finally:
        fake.close()
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[0]["failure"] is None and answers[0]["streams"] == 3
    return answers[1]


def test_whole_deliveries_are_counted_and_nothing_is_found_wrong(swarm_binary):
    answer = measure(swarm_binary, lambda n, p: [frame(p)])
    assert answer["failure"] is None
    assert (answer["messages"], answer["deliveries"], answer["timed"]) == (5, 15, 5)


@pytest.mark.parametrize("size", [36, 37, 100, 70000])
@pytest.mark.parametrize("step", [1, 7, 48, 49, 1000])
def test_a_stream_may_be_cut_anywhere(swarm_binary, size, step):
    if size // step > 20000:
        step = 13

    def cut(_, payload):
        whole = b": heartbeat\n\nevent: ping\ndata: {}\n\nid: 7\n" + frame(payload)
        return [whole[i:i + step] for i in range(0, len(whole), step)]

    answer = measure(swarm_binary, cut, messages=2, size=size, seconds=10)
    assert answer["failure"] is None and answer["deliveries"] == 6


def test_over_tls_whole_deliveries_are_counted_and_a_lost_one_is_found(swarm_binary, secure):
    answer = measure(swarm_binary, lambda n, p: [frame(p)], size=70000, secure=secure)
    assert answer["failure"] is None and answer["deliveries"] == 15
    answer = measure(swarm_binary, lambda n, p: [] if n == 2 else [frame(p)], window=5, secure=secure)
    assert answer["lost"] == 3 and answer["failure"]


def test_a_lost_message_is_found(swarm_binary):
    answer = measure(swarm_binary, lambda n, p: [] if n == 2 else [frame(p)], window=5)
    assert answer["lost"] == 3 and answer["failure"]


def test_a_message_that_never_comes_last_ends_the_command_with_a_failure(swarm_binary):
    answer = measure(swarm_binary, lambda n, p: [] if n == 4 else [frame(p)])
    assert answer["failure"] == "not everything arrived in time" and answer["deliveries"] == 12


def test_a_repeated_message_is_found(swarm_binary):
    answer = measure(swarm_binary, lambda n, p: [frame(p)] * (2 if n == 1 else 1), window=5)
    assert answer["repeated"] == 3 and answer["failure"]


def test_a_wrong_order_is_found(swarm_binary):
    held = []

    def swap(number, payload):
        if number == 1:
            held.append(payload)
            return []
        return [frame(payload)] + [frame(held.pop()) for _ in held[:]]

    answer = measure(swarm_binary, swap, window=5)
    assert answer["lost"] == 3 and answer["repeated"] == 3


@pytest.mark.parametrize("spoil", [
    lambda p: p[:-1],                     # a byte short
    lambda p: p + b"x",                   # a byte long
    lambda p: p[:60] + b"y" + p[61:],     # another byte
    lambda p: b"g" + p[1:],               # a head that is none
    lambda p: p[:27] + b"00000063" + p[35:-1],  # another length than was published
    lambda p: p[:50] + b"\ndata: " + p[50:],    # a line end within
])
def test_a_spoilt_message_is_found(swarm_binary, spoil):
    answer = measure(swarm_binary, lambda n, p: [frame(spoil(p) if n == 1 else p)], window=5)
    assert answer["corrupt"] > 0 and answer["failure"]


def test_a_gap_that_is_told_is_found(swarm_binary):
    gap = b'event: sluice.gap\ndata: {"channel":"b0","reason":"redis","from":null}\n\n'
    answer = measure(swarm_binary, lambda n, p: [gap, frame(p)] if n == 1 else [frame(p)])
    assert answer["gaps"] == 3 and answer["failure"] == "the server told of gaps"


def durably(binary, deliver, **more):
    return measure(binary, deliver, more="durable=1", **more)


def test_durable_messages_are_published_by_the_function_and_checked_by_id(swarm_binary):
    answer = durably(swarm_binary, lambda n, p: [frame(p, 5 * n + 1)])
    assert answer["failure"] is None and answer["deliveries"] == 15 and answer["gaps"] == 0


def test_a_head_may_repeat_an_id_but_not_go_back(swarm_binary):
    def head(number):
        return b"id: 1700000000000-%d\nevent: sluice.head\ndata: {}\n\n" % number

    answer = durably(swarm_binary, lambda n, p: [frame(p, n + 1), head(n + 1)])
    assert answer["failure"] is None and answer["gaps"] == 0
    answer = durably(swarm_binary, lambda n, p: [head(n), frame(p, n + 1)], messages=1)
    assert answer["failure"] is None
    answer = durably(swarm_binary, lambda n, p: [head(9), frame(p, n + 10)] if n == 0 else [head(4), frame(p, n + 10)])
    assert answer["disordered"] == 12 and answer["failure"] == "ids did not rise"


@pytest.mark.parametrize("number", [1, 0])
def test_an_id_that_does_not_rise_is_found(swarm_binary, number):
    answer = durably(swarm_binary, lambda n, p: [frame(p, number if n == 2 else n + 1)], window=5)
    assert answer["disordered"] == 3 and answer["failure"] == "ids did not rise"


@pytest.mark.parametrize("ident", [b"", b"id: 12\n", b"id: 1-1000\n", b"id: -\n", b"id: 1-2-3\n", b"id: x1-2\n"])
def test_a_durable_message_without_a_good_id_is_found(swarm_binary, ident):
    answer = durably(swarm_binary, lambda n, p: [(ident if n == 2 else b"id: 1700000000000-%d\n" % n) + frame(p)],
                     window=5)
    assert answer["corrupt"] == 3 and answer["failure"]


def test_a_message_that_has_another_id_elsewhere_is_found(swarm_binary):
    count = iter(range(1, 100))
    answer = durably(swarm_binary, lambda n, p: [lambda: frame(p, next(count))], window=5)
    assert answer["corrupt"] == 10 and answer["failure"]


RESUMES = "connect streams=1\npublish messages=1 durable=1\npublish messages=3 window=3 durable=1\n"


def resumed(binary, pieces):
    """What the swarm says of two streams that resume three messages, and that get pieces(payloads)."""
    payloads = []

    def deliver(number, payload):
        payloads.append(payload)
        return [frame(payload, number + 1)]

    fake = Fake(deliver)
    fake.greet = lambda request: pieces(payloads) if b"Last-Event-ID: 1700000000000-1\r\n" in request else b""
    ports = [str(s.getsockname()[1]) for s in (fake.http, fake.redis)]
    try:
        done = subprocess.run([binary, "sluice", ports[0], str(os.getpid()), ports[1], "b"],
                              input=(RESUMES + "resume streams=2 messages=3 seconds=1\n").encode(),
                              stdout=subprocess.PIPE, timeout=30, check=True)
    finally:
        fake.close()
    return json.loads(done.stdout.splitlines()[3])


def test_resumed_messages_are_counted(swarm_binary):
    answer = resumed(swarm_binary, lambda all_: b"".join(frame(p, n + 1) for n, p in enumerate(all_) if n))
    assert answer["failure"] is None and (answer["deliveries"], answer["streams"]) == (6, 3)


@pytest.mark.parametrize("which, fault", [([1, 3], "lost"), ([0, 1, 2, 3], "repeated"), ([1, 2, 2, 3], "repeated"),
                                          ([1, 3, 2], "lost"), ([], "deliveries")])
def test_a_resume_that_is_not_whole_is_found(swarm_binary, which, fault):
    answer = resumed(swarm_binary, lambda all_: b"".join(frame(all_[n], n + 1) for n in which))
    assert answer["failure"]
    assert answer[fault] == (2 if fault != "deliveries" else 0)
