"""Limits: each is kept, named in the answer, and hurts nobody else."""

import time
from types import SimpleNamespace

import pytest

from harness import http
from harness.process import cpu_seconds, until
from harness.sse import Event, Retry, Stream


def test_a_connection_has_at_most_limits_channels_names(start_gateway):
    gateway = start_gateway(limits={"channels": 3})
    gateway.subscribe("a", "b", pattern="c.*")
    response = gateway.get("/events?channel=a&channel=b&channel=c&pattern=d.*")
    assert response.status == 400
    assert "3" in response.error()


def test_name_bytes_bounds_channel_and_pattern(start_gateway):
    gateway = start_gateway(limits={"name_bytes": 8})
    gateway.subscribe("12345678")
    for target in ("/events?channel=123456789", "/events?pattern=12345678*"):
        response = gateway.get(target)
        assert response.status == 400
        response.error()


def test_a_body_over_body_bytes_is_413_and_the_next_request_is_served(start_gateway):
    gateway = start_gateway(limits={"body_bytes": 1000, "message_bytes": 1000})
    stream = gateway.subscribe("body")
    response = gateway.post("/publish/body", b"x" * 1001)
    assert response.status == 413
    assert "1000" in response.error()
    assert gateway.post("/publish/body", b"y" * 1000).status == 200
    assert stream.data(1) == ["y" * 1000]


def test_a_body_of_unknown_length_is_stopped_at_the_limit(start_gateway):
    gateway = start_gateway(limits={"body_bytes": 1000, "message_bytes": 1000})
    chunk = b"3e8\r\n" + b"z" * 1000 + b"\r\n"
    head = http.request_bytes(gateway.address, "POST", "/publish/c", {"Transfer-Encoding": "chunked"})
    answer = http.raw(gateway.address, head + chunk * 50 + b"0\r\n\r\n")
    assert answer.status == 413
    answer.error()
    assert gateway.get("/healthz").status == 200


def test_a_payload_over_message_bytes_is_refused_over_http(start_gateway):
    gateway = start_gateway(limits={"message_bytes": 100, "body_bytes": 10000})
    stream = gateway.subscribe("message")
    assert gateway.post("/publish/message", b"x" * 101).status == 413
    assert gateway.post("/publish", {"channel": "message", "data": "x" * 101}).status == 413
    assert gateway.post("/publish/message", b"y" * 100).status == 200
    assert stream.data(1) == ["y" * 100]


def test_streams_over_limits_connections_are_told_busy_and_closed(start_gateway):
    gateway = start_gateway(limits={"connections": 4})
    kept = [gateway.subscribe("full") for _ in range(4)]
    extra = gateway.stream("/events?channel=full")
    assert extra.status == 200, "an EventSource gives up for good on anything else"
    items = extra.rest()
    assert isinstance(items[0], Retry)
    assert isinstance(items[-1], Event) and items[-1].event == "sluice.busy"
    assert isinstance(items[-1].json()["error"], str)
    extra.close()
    kept[0].close()
    until(lambda: _is_served(gateway), 5, "the freed place to be given")
    # The stream that was served may still be counted: then there is no place for this.
    until(lambda: gateway.post("/publish/full", "x").status == 200, 5, "a place for who publishes")
    assert [s.data(1) for s in kept[1:]] == [["x"]] * 3


def _is_served(gateway):
    with Stream(gateway.address, "/events?channel=full") as stream:
        stream.next()
        return not isinstance(stream.next(), Event)


def test_streams_over_limits_per_address_are_told_busy(start_gateway):
    gateway = start_gateway(limits={"per_address": 2})
    for _ in range(2):
        gateway.subscribe("mine")
    items = gateway.stream("/events?channel=mine").rest()
    assert items[-1].event == "sluice.busy"
    assert gateway.get("/healthz").status == 200


@pytest.mark.parametrize("part", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: a\r\n",
                                  b"POST /publish/x HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                  b"Content-Length: 50\r\n\r\nhalf"])
def test_a_request_that_never_ends_is_ended_after_request_seconds(start_gateway, part):
    gateway = start_gateway(limits={"request_seconds": 1})
    began = time.monotonic()
    with http.connect(gateway.address, 20) as sock:
        sock.sendall(part)
        answer = b""
        while (data := sock.recv(4096)):
            answer += data
    took = time.monotonic() - began
    assert 1 <= took < 15, took  # the kernel keeps a silent one to itself for 7 s
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408"), answer
    assert gateway.get("/healthz").status == 200


def test_a_stream_outlives_request_seconds(start_gateway):
    gateway = start_gateway(limits={"request_seconds": 1})
    stream = gateway.subscribe("long")
    time.sleep(2.5)
    gateway.post("/publish/long", "still here")
    assert stream.data(1) == ["still here"]


def test_headers_without_end_are_refused(gateway):
    flood = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-Pad: " + b"a" * 200_000 + b"\r\n\r\n"
    answer = http.raw(gateway.address, flood)
    assert answer.status == 431
    answer.error()
    assert gateway.get("/healthz").status == 200


def test_a_target_without_end_is_refused(gateway):
    answer = http.raw(gateway.address, b"GET /events?channel=" + b"a" * 100_000 +
                      b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert answer.status == 414
    answer.error()
    assert gateway.get("/healthz").status == 200


@pytest.mark.deadline(60)
def test_running_out_of_descriptors_ends_nothing_and_costs_no_cpu(start_gateway):
    """Who comes too late waits or is told; the streams that are open go on."""
    few = SimpleNamespace(prefix=["prlimit", "--nofile=120:120"])
    gateway = start_gateway(within=few)
    kept = gateway.subscribe("kept")
    crowd = []
    try:
        for _ in range(300):
            crowd.append(http.connect(gateway.address))
            crowd[-1].sendall(http.request_bytes(gateway.address, "GET", "/events?channel=kept"))
        time.sleep(1)
        before = cpu_seconds(gateway.child.pid)
        time.sleep(2)
        assert cpu_seconds(gateway.child.pid) - before < 0.5, "it spins at the limit"
        assert kept.is_open() and gateway.alive()
    finally:
        for sock in crowd:
            sock.close()
    until(lambda: gateway.post("/publish/kept", "still here").status == 200, 10, "room again")
    assert kept.data(1) == ["still here"]
