"""Drain: SIGTERM ends the gateway in its time, and everybody who is connected is told or answered."""

import contextlib
import os
import select
import signal
import socket
import time

import pytest

from harness import http
from harness.process import stays, until
from harness.sse import Closed, Event, Parser, Retry, Stream

AT_ONCE = 10  # seconds; of the 600 that it may drain, and whatever else the machine does
GRACE = 3  # what is being written may take this much longer than drain_seconds


def begin(gateway, signum=signal.SIGTERM):
    """Tells it to drain, and waits until every worker does: they close their listeners."""
    gateway.child.send_signal(signum)
    gateway.wait_log("draining for")
    until(lambda: not connects(gateway.address), 5, "the listeners to be closed")


def connects(address):
    try:
        http.connect(address, 1).close()
    except ConnectionError:
        return False
    return True


class Half:
    """A request of which only the first line is sent yet, so that its connection is accepted."""

    def __init__(self, address, method, target, headers=(), body=None, keep=None):
        data = http.request_bytes(address, method, target, headers, body)
        keep = data.index(b"\r\n") + 2 if keep is None else len(data) - keep
        self.method, self.sock, self.left = method, http.connect(address, 10), data[keep:]
        self.sock.sendall(data[:keep])

    def finish(self):
        self.sock.sendall(self.left)
        with self.sock, self.sock.makefile("rb") as file:
            return http.read_response(file, self.method)

    def finish_stream(self):
        """The items of a stream to its end."""
        self.sock.sendall(self.left)
        with self.sock, self.sock.makefile("rb") as file:
            response = http.read_head(file)
            assert response.status == 200
            return Parser().feed(file.read())


def accepted(gateway, count):
    """Until `count` connections are open, the one that asks aside."""
    gateway.wait_metric("sluice_sockets", count + 1)


@pytest.mark.threads
def test_readyz_says_draining_with_503_while_it_drains_and_healthz_stays_200(start_gateway):
    gateway = start_gateway(drain_seconds=2)
    gateway.streams.append(gateway.subscribe("open"))
    ready, strict, alive = (Half(gateway.address, "GET", target)
                            for target in ("/readyz", "/readyz?strict=1", "/healthz"))
    accepted(gateway, 4)
    assert gateway.get("/readyz").json()["status"] == "ready"
    begin(gateway)
    for half in (ready, strict):
        answer = half.finish()
        assert answer.status == 503 and answer.json()["status"] == "draining"
        assert answer.header("connection") == "close"
    assert alive.finish().status == 200
    gateway.stop()


def test_no_new_connection_is_let_in_on_any_listener_while_it_drains(start_gateway, tmp_path):
    path = str(tmp_path / "s")
    gateway = start_gateway(drain_seconds=2, listen=["127.0.0.1:0", "127.0.0.2:0", f"unix:{path}"])
    stream = gateway.subscribe("open")
    begin(gateway)
    until(lambda: not any(connects(a) for a in [*gateway.addresses, path]), 1, "all to be refused")
    assert stream.is_open(0), "it still drains"
    gateway.stop()


@pytest.mark.threads
def test_connections_that_wait_in_the_queue_are_still_served(start_gateway, tmp_path):
    path = str(tmp_path / "s")
    gateway = start_gateway(drain_seconds=2, listen=["127.0.0.1:0", f"unix:{path}"])
    gateway.child.send_signal(signal.SIGSTOP)
    waiting = []
    for n in range(120):  # the kernel takes them while the gateway stands still
        address = path if n % 3 == 0 else gateway.address
        method, target = (("GET", "/healthz"), ("POST", "/publish/queued"))[n % 2]
        waiting.append((http.connect(address), method))
        waiting[-1][0].sendall(http.request_bytes(address, method, target, body=b"x" * (n % 2)))
    gateway.child.send_signal(signal.SIGTERM)
    gateway.child.send_signal(signal.SIGCONT)
    for sock, method in waiting:
        with sock, sock.makefile("rb") as file:
            assert http.read_response(file, method).status == 200
    gateway.stop()


def test_a_stream_asked_for_while_it_drains_is_told_busy_and_when_to_come_back(start_gateway):
    gateway = start_gateway(drain_seconds=2)
    half = Half(gateway.address, "GET", "/events?channel=late")
    accepted(gateway, 1)
    gateway.subscribe("open")
    begin(gateway)
    first, *_, last = half.finish_stream()
    assert isinstance(first, Retry)
    assert isinstance(last, Event) and last.event == "sluice.busy" and "drain" in last.json()["error"]
    gateway.stop()


@pytest.mark.threads
def test_publishes_in_flight_are_answered(redis, start_gateway):
    gateway = start_gateway(redis, drain_seconds=5)
    halves = [Half(gateway.address, "POST", "/publish/flight", body=b"half and half", keep=4)
              for _ in range(10)]
    accepted(gateway, 10)
    redis.stop()
    socks = []
    for _ in range(10):
        socks.append(http.connect(gateway.address, 10))
        socks[-1].sendall(http.request_bytes(gateway.address, "POST", "/publish/flight", body=b"x"))
    accepted(gateway, 20)
    begin(gateway)
    time.sleep(0.2)
    redis.cont()
    for sock in socks:
        with sock, sock.makefile("rb") as file:
            answer = http.read_response(file, "POST")
        assert answer.status == 200 and answer.json() == {"receivers": 0}, answer
    for half in halves:
        answer = half.finish()
        assert answer.status == 200 and answer.json() == {"receivers": 0}, answer
    began = time.monotonic()
    gateway.stop()
    assert time.monotonic() - began < 4, "nobody is left, so there is nothing to wait for"


@pytest.mark.threads
def test_open_streams_get_a_retry_of_their_own_and_end_spread_over_drain_seconds(start_gateway):
    gateway = start_gateway(drain_seconds=6, stream={"retry_ms": 1000})
    streams = {s.sock: s for s in (gateway.subscribe("spread") for _ in range(60))}
    gateway.child.terminate()
    gateway.wait_log("draining for 6 s")
    began, ended = time.monotonic(), {}
    while len(ended) < len(streams):
        ready, _, _ = select.select([s for s in streams if s not in ended], [], [], 8)
        assert ready, f"only {len(ended)} have ended"
        for sock in ready:
            with contextlib.suppress(TimeoutError, Closed):
                streams[sock].rest(0.001)
            if streams[sock].ended:
                ended[sock] = time.monotonic() - began
    last = [s.seen[-1] for s in streams.values()]
    assert all(isinstance(item, Retry) and 1 <= item.ms <= 3000 for item in last)
    assert len({item.ms for item in last}) > 20, "each has its own"
    assert max(ended.values()) < 6 + 3
    times = sorted(ended.values())
    assert all(b - a < 4 for a, b in zip([0, *times], times)), f"no pause as long as all: {times}"
    assert times[10] < times[-10] - 1, f"some in each part of the time: {times}"
    gateway.stop()


@pytest.mark.threads
def test_streams_that_are_still_open_get_messages_while_it_drains(redis, start_gateway):
    gateway = start_gateway(redis, drain_seconds=3)
    streams = [gateway.subscribe("until") for _ in range(20)]
    begin(gateway)
    sent, end = 0, time.monotonic() + 1.5
    while time.monotonic() < end:
        redis.publish("until", sent)
        sent += 1
        time.sleep(0.02)
    for stream in streams:  # each got what came until its end, without a hole
        data = [item.data for item in stream.rest() if isinstance(item, Event)]
        assert data == [str(n) for n in range(len(data))]
    assert any(len([i for i in s.seen if isinstance(i, Event)]) > 20 for s in streams)
    gateway.stop()


@pytest.mark.threads
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_now(start_gateway, second):
    gateway = start_gateway(drain_seconds=600)
    streams = [gateway.subscribe("now") for _ in range(20)]
    gateway.streams = []
    begin(gateway, signal.SIGINT)
    assert all(stream.is_open(0) for stream in streams)
    began = time.monotonic()
    gateway.stop(second)
    assert time.monotonic() - began < AT_ONCE
    for stream in streams:
        stream.rest()
        stream.close()


def test_with_nobody_connected_it_ends_at_once_with_0(start_gateway):
    gateway = start_gateway(drain_seconds=600)
    assert gateway.get("/healthz").status == 200
    began = time.monotonic()
    gateway.stop()
    assert time.monotonic() - began < AT_ONCE


def test_an_idle_connection_does_not_hold_the_end_up(start_gateway):
    gateway = start_gateway(drain_seconds=600)
    idle = [http.Connection(gateway.address) for _ in range(5)]
    for one in idle:
        assert one.request("GET", "/healthz").status == 200
    began = time.monotonic()
    gateway.child.terminate()
    for one in idle:
        assert one.sock.recv(1) == b""
        one.close()
    gateway.stop()
    assert time.monotonic() - began < AT_ONCE


@pytest.mark.threads
def test_clients_that_never_read_and_never_finish_do_not_hold_the_end_up(shared_redis, start_gateway,
                                                                        name):
    gateway = start_gateway(shared_redis, drain_seconds=1, limits={"queue_bytes": 16 << 20})
    stuck = Stream(gateway.address, f"/events?channel={name}", receive_buffer=4096).subscribed()
    gateway.subscribe(name)
    for _ in range(8):  # more than the socket's buffers take
        shared_redis.publish(name, "x" * 1_000_000)
    half = Half(gateway.address, "POST", "/publish/never", body=b"x" * 1000, keep=500)
    accepted(gateway, 3)
    gateway.streams = []
    began = time.monotonic()
    gateway.stop()
    assert time.monotonic() - began < 1 + GRACE + 6
    stuck.close()
    half.sock.close()


def test_a_unix_socket_is_gone_when_it_has_ended(start_gateway, tmp_path):
    path = str(tmp_path / "s")
    gateway = start_gateway(listen=["127.0.0.1:0", f"unix:{path}"])
    assert os.path.exists(path)
    gateway.stop()
    assert not os.path.exists(path)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(gateway.address, 1)


def test_a_reload_while_it_drains_is_ignored_and_said_so(start_gateway):
    gateway = start_gateway(drain_seconds=2)
    stream = gateway.subscribe("both")
    begin(gateway)
    gateway.child.send_signal(signal.SIGHUP)
    assert "stopping" in gateway.wait_log("SIGHUP is ignored")[0]
    stays(gateway.alive, 0.2, "the drain")
    stream.rest()
    gateway.stop()
