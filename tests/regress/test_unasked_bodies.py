"""
A body with a request that has no use for one was kept whole, up to body_bytes for each connection and
without a key: a hundred strangers who asked for /healthz held a hundred megabytes.
"""

import pytest

from harness import http
from harness.process import memory

MEGABYTE = 1 << 20
HOST = b"Host: 127.0.0.1\r\n"


@pytest.mark.parametrize("line", [b"GET /healthz", b"HEAD /events", b"OPTIONS /nowhere"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_body_that_nobody_asked_for_is_413(gateway, line, chunked):
    head = line + b" HTTP/1.1\r\n" + HOST
    data = head + (b"Transfer-Encoding: chunked\r\n\r\n1001\r\n" if chunked
                   else b"Content-Length: 4097\r\n\r\n")
    answer = http.raw(gateway.address, data, line.split()[0].decode())
    assert answer.status == 413
    assert answer.header("connection") == "close"


@pytest.mark.release
def test_strangers_with_bodies_that_nobody_asked_for_cost_no_memory(start_gateway):
    gateway = start_gateway(kind="release", open=False, limits={"request_seconds": 60})
    before = memory(gateway.child.pid)
    socks = []
    for number in range(100):
        socks.append(http.connect(gateway.address))
        method = b"OPTIONS /nowhere" if number % 2 else b"GET /healthz"
        try:
            socks[-1].sendall(method + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 1048576\r\n\r\n" +
                              b"x" * (MEGABYTE - 1))
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was sent
    assert gateway.get("/healthz").status == 200
    assert memory(gateway.child.pid) - before < 16 * MEGABYTE
    for sock in socks:
        sock.close()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_revalidation_is_not_read_to_its_end_when_it_is_larger_than_any(redis, start_gateway, chunked):
    gateway = start_gateway(redis, invalidation={"secret": "known"})
    head = b"POST /revalidate HTTP/1.1\r\n" + HOST
    data = head + (b"Transfer-Encoding: chunked\r\n\r\n8001\r\n" if chunked
                   else b"Content-Length: 32769\r\n\r\n")
    assert http.raw(gateway.address, data, "POST").status == 413
    body = b'{"secret":"known","path":"' + b"\\u0061" * 1024 + b'","tag":"' + b"\\u0061" * 1024 + b'"}'
    assert gateway.post("/revalidate", body).status == 200


def test_a_small_body_that_nobody_asked_for_is_passed_over(gateway):
    with http.Connection(gateway.address) as connection:
        assert connection.request("GET", "/healthz", body=b"x" * 4096).status == 200
        assert connection.request("GET", "/readyz").status == 200  # found behind the body
