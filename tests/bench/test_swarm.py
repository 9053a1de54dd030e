"""
The swarm is the judge of every figure: here it must find each fault that a server may have. One fake
is both the Redis that it publishes to and the server that it reads from, and does one thing wrong.
"""

import json
import os
import select
import socket
import subprocess
import threading
from pathlib import Path

import pytest

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

    def __init__(self, deliver):
        self.deliver, self.count, self.streams, self.halves = deliver, 0, [], {}
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
            conn.sendall(HEAD + b"retry: 2000\n\n: subscribed\n\n")
            self.streams.append(conn)
            had = b""
        while not is_http and had.count(b"\r\n") >= 7:
            parts = had.split(b"\r\n", 7)
            had = parts[7]
            conn.sendall(b":1\r\n")
            self._publish(parts[6])
        self.halves[conn] = (is_http, had)
        return data

    def _publish(self, payload):
        for piece in self.deliver(self.count, payload):
            for stream in self.streams:
                stream.sendall(piece)
        self.count += 1

    def close(self):
        self.over.set()
        self.thread.join(5)


def frame(payload):
    return b"data: " + payload + b"\n\n"


def measure(binary, deliver, messages=5, window=1, size=100, seconds=2):
    fake = Fake(deliver)
    ports = [str(s.getsockname()[1]) for s in (fake.http, fake.redis)]
    orders = f"connect streams=3\npublish messages={messages} window={window} bytes={size} seconds={seconds}\n"
    try:
        done = subprocess.run([binary, "sluice", ports[0], str(os.getpid()), ports[1], "b"], input=orders.encode(),
                              stdout=subprocess.PIPE, timeout=30, check=True)
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
