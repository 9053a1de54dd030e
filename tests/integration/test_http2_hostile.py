"""Hostile clients of HTTP/2. After each the scene is as it was before: see harness/scene.py."""

import contextlib
import itertools
import os
import random
import time

import pytest
from hyperframe.frame import (ContinuationFrame, DataFrame, GoAwayFrame, PingFrame,
                              PriorityFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame)

from harness.http2 import Client, Setting
from harness.process import until
from harness.scene import REQUEST_SECONDS, scene, target  # noqa: F401

NO_ERROR, PROTOCOL_ERROR, ENHANCE_YOUR_CALM = 0, 1, 11


def connect(scene, **more):
    client = Client(scene.address, **more)
    scene.socks.append(client.sock)
    return client


def frames_of(client, *frames):
    """Serialized; without a limit, for `itertools.islice`."""
    return itertools.repeat(b"".join(f.serialize() for f in frames))


def resets(client):
    while True:
        headers = client.headers_frame(path="/events?channel=reset")
        yield headers.serialize() + RstStreamFrame(headers.stream_id, 8).serialize()


def refused(client):
    while True:
        yield client.headers_frame(path="/events?channel=refused").serialize()


def empty_data(client):
    upload = client.request("POST", "/publish/a", body=b"x", end=False)
    return frames_of(client, DataFrame(upload.number))


def late_resets(client):
    client.get("/healthz")
    return frames_of(client, RstStreamFrame(1, 8))


def bad_updates(client):
    """Each makes the gateway reset a stream of its own accord."""
    while True:
        headers = client.headers_frame(path="/events?channel=reset")
        yield headers.serialize() + WindowUpdateFrame(headers.stream_id, 2**31 - 1).serialize()


FLOODS = {
    "rapid reset": resets,
    "streams beyond the limit": refused,
    "resets of what is closed": late_resets,
    "windows beyond the largest": bad_updates,
    "SETTINGS": lambda c: frames_of(c, SettingsFrame(0, {Setting.INITIAL_WINDOW_SIZE: 70_000})),
    "PING": lambda c: frames_of(c, PingFrame(0, b"12345678")),
    "acknowledged PING": lambda c: frames_of(c, PingFrame(0, b"12345678", flags=["ACK"])),
    "PRIORITY": lambda c: frames_of(c, PriorityFrame(1, 0, 10, False)),
    "empty DATA": empty_data,
    "WINDOW_UPDATE": lambda c: frames_of(c, WindowUpdateFrame(0, 1)),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
@pytest.mark.parametrize("reads", [True, False], ids=["read", "unread"])
def test_a_flood_of_frames_that_ask_for_nothing_is_told_to_calm_down(scene, flood, reads):
    floods = scene.gateway.metric("sluice_http2_floods_total")
    for _ in range(3):
        client = connect(scene)
        client.frozen = True
        frames, sent = flood(client), 0
        while sent < 20_000 and client.frames(b"".join(itertools.islice(frames, 500))):
            sent += 500
            if reads and client.read(0) and client.closed:
                break
            if client.goaway is not None:
                break
        scene.tick()
        with contextlib.suppress(*([] if reads else [AssertionError])):
            assert client.ends(5) in (ENHANCE_YOUR_CALM, None)
        client.close()
    until(lambda: scene.gateway.metric("sluice_http2_floods_total") == floods + 3, 5, "three floods")


def test_pings_and_resets_at_a_human_pace_are_no_flood(scene):
    client = connect(scene)
    for n in range(200):
        headers = client.headers_frame(path="/events?channel=pace")
        client.frames(headers, PingFrame(0, b"12345678"))
        client.until(lambda: b": subscribed" in client.parts[headers.stream_id].body
                     if headers.stream_id in client.parts else False, 5, "the stream")
        client.frames(RstStreamFrame(headers.stream_id, 8))
    assert client.get("/healthz").status == 200 and client.goaway is None


def test_two_updates_of_the_window_for_each_frame_of_data_are_no_flood(scene):
    client = connect(scene, window=0)
    stream, told = client.subscribe(scene.name), 0
    for n in range(3000):
        scene.redis.publish(scene.name, f"n{n}")
        assert stream.data(1) == [f"n{n}"]
        if n % 500 == 499:
            assert scene.bystander.data(500)[-1] == f"n{n}"
            frames = client.seen.count((0, 0))
            client.frames(*(WindowUpdateFrame(k, 20) for k in (0, stream.number) * (frames - told)))
            told = frames
    assert told > 2000 and client.goaway is None and client.get("/healthz").status == 200


def test_unknown_frames_are_passed_over(scene):
    client = connect(scene)
    stream = client.subscribe(scene.name)
    for _ in range(40):
        client.frames(b"\0\0\5\xfa\0\0\0\0\0hello" * 500)
    scene.tick()
    assert stream.data(1) == ["0"]


def test_a_flood_of_continuations_ends_the_connection(scene):
    for end in (False, True):
        client = connect(scene)
        head = client.headers_frame(flags=["END_STREAM"])
        client.frames(head)
        more = ContinuationFrame(head.stream_id, client.h2.encoder.encode([("x-a", "b" * 100)]))
        for _ in range(2000):
            if not client.frames(*([more] * 10)):
                break
        if end:
            client.frames(ContinuationFrame(head.stream_id, b"", flags=["END_HEADERS"]))
        client.ends(5)
        client.close()


def test_empty_continuations_end_the_connection_too(scene):
    client = connect(scene)
    head = client.headers_frame(flags=["END_STREAM"])
    client.frames(head)
    for _ in range(2000):
        if not client.frames(*([ContinuationFrame(head.stream_id, b"")] * 10)):
            break
    client.ends(5)


def test_a_header_bomb_is_refused_and_hurts_no_other_stream(scene):
    """One entry of the table, named ten thousand times: 40 MB out of 14 kB."""
    client = connect(scene)
    stream = client.subscribe(scene.name)
    for _ in range(20):
        bomb = client.headers_frame(headers=[("x-bomb", "y" * 4000)])
        indexed = client.h2.encoder.encode([("x-bomb", "y" * 4000)])
        assert len(indexed) == 1
        bomb.data += indexed * 10_000
        client.frames(bomb)
        client.until(lambda: bomb.stream_id in client.parts and client.parts[bomb.stream_id].over, 5, "its end")
        assert client.parts[bomb.stream_id].reset is not None
    scene.tick()
    assert stream.data(1) == ["0"]
    assert client.get("/healthz").status == 200


def test_headers_that_do_not_end_are_ended_within_request_seconds(scene):
    client = connect(scene)
    client.subscribe("before")
    client.frames(client.headers_frame(flags=["END_STREAM"]))
    began = time.monotonic()
    assert client.ends(REQUEST_SECONDS + 4) == NO_ERROR
    assert REQUEST_SECONDS - 0.5 <= time.monotonic() - began < REQUEST_SECONDS + 3


def test_a_hundred_bodies_that_stop_half_way_are_each_408(scene):
    client = connect(scene)
    parts = [client.request("POST", "/publish/half", {"content-length": "100"}, b"x" * 50, end=False)
             for _ in range(100)]
    for part in parts:
        assert part.whole(REQUEST_SECONDS + 8).status == 408
    assert client.get("/healthz").status == 200


def test_answers_that_nobody_reads_are_bounded_and_given_up(scene):
    for attack in range(4):
        clients = [connect(scene, settings={Setting.INITIAL_WINDOW_SIZE: 1 << 24}, receive_buffer=4096)
                   for _ in range(10)]
        for client in clients:
            client.frames(*(client.headers_frame(path="/page.css") for _ in range(100)))
        scene.tick()
        for client in clients:
            client.vanish()
        if attack == 0:
            scene.rehearsed()


def test_a_peer_that_vanishes_at_any_moment_leaves_no_trace(scene):
    chance = random.Random(7)
    for n in range(100):
        client = connect(scene)
        for _ in range(chance.randrange(10)):
            client.frames(client.headers_frame(path=chance.choice(["/", "/events?channel=v", "/metrics"])))
        if n % 2:
            client.read(0.01)
        (client.vanish if n % 3 else client.close)()
    scene.tick()


def test_random_bytes_behind_the_preface_end_that_connection_alone(scene):
    seed = os.environ.get("SLUICE_SEED", "3")
    seed = random.SystemRandom().randrange(1 << 31) if seed == "random" else int(seed)
    print(f"SLUICE_SEED={seed}")  # pytest shows it when the test fails
    chance = random.Random(seed)
    for n in range(200):
        client = connect(scene)
        kind = chance.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, chance.randrange(256)])
        body = chance.randbytes(chance.choice([0, 4, 5, 6, 8, 40, 300]))
        frame = len(body).to_bytes(3, "big") + bytes([kind, chance.randrange(256)]) + \
            chance.choice([0, 1, 3, 5, 2**31 - 1]).to_bytes(4, "big") + body
        client.frames(chance.choice([frame * 3, chance.randbytes(400), client.headers_frame().serialize() + frame]))
        if n % 4 == 0:
            with contextlib.suppress(Exception):  # what the library makes of the answer is its affair
                client.read(0.02)
        client.close()
    scene.tick()


@pytest.mark.parametrize("fields", [
    [(":method", "GET"), (":path", "/")], [(":method", "GET"), (":scheme", "http"), (":path", "")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":path", "/")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("Upper", "x")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("connection", "close")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("transfer-encoding", "chunked")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("x", "a\r\nx-injected: b")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/ HTTP/1.1\r\nx: y\r\n\r\n")],
    [(":method", "GET /healthz HTTP/1.1\r\n"), (":scheme", "http"), (":path", "/")],
    [(":method", "POST"), (":scheme", "http"), (":path", "/publish/a"), ("content-length", "5")],
    [("x", "y"), (":method", "GET"), (":scheme", "http"), (":path", "/")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":status", "200")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("a b", "c")],
    [(":method", "GET"), (":scheme", "http"), (":path", "http://127.0.0.1/healthz")],
    [(":method", "GET"), (":scheme", "http"), (":path", "/a b")],
    [(":method", "CONNECT"), (":authority", "a:80")],
], ids=str)
def test_a_request_that_is_none_is_refused_and_the_next_is_served(scene, fields):
    client = connect(scene)
    if not any(name == ":authority" for name, _ in fields):
        fields = [*[f for f in fields if f[0][0] == ":"], (":authority", "127.0.0.1"),
                  *[f for f in fields if f[0][0] != ":"]] if fields[0][0] != "x" else fields
    frame = client.headers_frame(fields=fields)
    client.frames(frame)
    client.until(lambda: frame.stream_id in client.parts and client.parts[frame.stream_id].over, 5, "its end")
    part = client.parts[frame.stream_id]
    assert part.reset is not None or part.status in (400, 405), part
    assert client.get("/healthz").status == 200


def test_http_1_and_half_prefaces_on_one_port_do_not_meet(scene):
    for data in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                 b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        sock = scene.connect(data)
        received = b""
        with contextlib.suppress(OSError):
            while (more := sock.recv(65536)):
                received += more
        assert received.count(b"HTTP/1.1 ") == (0 if data.startswith(b"PRI") else 2), received


def test_a_client_that_says_goodbye_has_its_answers_first(scene):
    client = connect(scene)
    stream = client.subscribe(scene.name)
    client.frames(GoAwayFrame(0, 0, 0))
    scene.tick()
    assert stream.data(1) == ["0"]
    client.frames(RstStreamFrame(stream.number, 8))
    client.ends(5)
