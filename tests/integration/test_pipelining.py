"""Requests sent behind each other without waiting for the answers."""

import time

import pytest

from harness import http
from harness.process import memory, until

MEGABYTE = 1 << 20


@pytest.fixture
def alone(start_gateway):
    """A gateway on the memory broker: its memory is measured."""
    return start_gateway(workers=1)


def get(gateway, target):
    return http.request_bytes(gateway.address, "GET", target)


@pytest.mark.parametrize("early", [
    pytest.param(("GET", "/nothing", 404), id="404"),
    pytest.param(("POST", "/events", 405), id="405"),
    pytest.param(("GET", "/events?channel=%ff", 400), id="400"),
])
def test_a_request_behind_one_that_is_refused_at_once_is_answered_at_once(alone, early):
    method, target, status = early
    first = http.request_bytes(alone.address, method, target)
    with http.connect(alone.address, 3) as sock, sock.makefile("rb") as file:
        sock.sendall(first + get(alone, "/healthz") + first + get(alone, "/healthz"))
        assert [http.read_response(file).status for _ in range(4)] == [status, 200, status, 200]


def test_a_thousand_requests_in_one_breath_are_all_answered_in_order(alone):
    targets = ["/healthz", "/nothing", "/page.css", "/readyz"]
    expected = [200, 404, 200, 200] * 250
    with http.connect(alone.address) as sock, sock.makefile("rb") as file:
        for start in range(0, 1000, 100):  # no more than the gateway keeps unread
            sock.sendall(b"".join(get(alone, targets[n % 4]) for n in range(start, start + 100)))
            answers = [http.read_response(file) for _ in range(100)]
            assert [a.status for a in answers] == expected[start:start + 100]


def test_answers_that_wait_for_a_slow_reader_all_come_in_the_end(alone):
    with http.connect(alone.address, receive_buffer=4096) as sock, sock.makefile("rb") as file:
        sock.sendall(get(alone, "/page.css") * 400)
        time.sleep(0.3)
        answers = [http.read_response(file) for _ in range(400)]
    assert {a.status for a in answers} == {200}
    assert len({a.body for a in answers}) == 1


def test_who_reads_no_answers_is_not_read_and_costs_no_memory(alone):
    before = memory(alone.child.pid)
    requests = get(alone, "/page.css") * 1000
    with http.connect(alone.address, receive_buffer=4096) as sock:
        sock.setblocking(False)
        sent, closed, end = 0, False, time.monotonic() + 5
        while not closed and sent < 5 * MEGABYTE and time.monotonic() < end:
            try:
                sent += sock.send(requests)
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                closed = True
        assert closed
    until(lambda: alone.metric("sluice_sockets") == 1, 5, "the connection to be given up")
    assert memory(alone.child.pid) - before < 32 * MEGABYTE


def test_one_publish_to_a_thousand_channels_is_refused_when_it_is_too_much_and_costs_no_memory(alone):
    before = memory(alone.child.pid)
    many = {"channel": [f"c{n}" for n in range(1000)], "data": "x" * 1_000_000}
    answer = alone.post("/publish", many)
    assert answer.status == 413
    assert "larger than all that may be under way" in answer.body.decode()
    assert memory(alone.child.pid) - before < 32 * MEGABYTE
    few = {"channel": [f"c{n}" for n in range(30)], "data": "x" * 1_000_000}
    assert alone.post("/publish", few).status == 200
