"""A client that ends its side of the connection behind a request never had its answer."""

import contextlib
import socket

import pytest

from harness import http, tls
from harness.process import until


@pytest.fixture(params=["clear", "tls"])
def address(request, start_gateway, tmp_path):
    pair = tls.Pair(tmp_path, "pair")
    gateway = start_gateway(tls=pair.settings, listen=["http://127.0.0.1:0", "127.0.0.1:0"])
    request.node.gateway = gateway
    return gateway.address if request.param == "clear" else tls.Address(gateway.addresses[1], tls.client(pair))


@pytest.fixture
def gateway(request, address):
    return request.node.gateway


def ask_and_end(sock, data):
    """Sends, and ends this side alone: over TLS below it, as `nc -N` behind a tunnel does."""
    sock.sendall(data)
    socket.socket.shutdown(sock, socket.SHUT_WR)


@pytest.mark.parametrize("body", [b"", b"x" * 100, b"x" * 300_000], ids=["empty", "small", "large"])
def test_a_publish_is_answered(address, gateway, body):
    stream = gateway.subscribe("halved")
    with http.connect(address) as sock, sock.makefile("rb") as file:
        ask_and_end(sock, http.request_bytes(address, "POST", "/publish/halved", body=body))
        answer = http.read_response(file)
        assert answer.status == 200 and answer.json() == {"receivers": 1}
        with contextlib.suppress(OSError):
            assert file.read() == b"", "it closes then, instead of waiting for more"
    assert stream.data(1) == [body.decode()]


def test_all_pipelined_requests_are_answered(address, gateway):
    data = http.request_bytes(address, "POST", "/publish/many", body=b"x") + \
        http.request_bytes(address, "GET", "/page.css") * 20 + \
        http.request_bytes(address, "POST", "/publish/many", body=b"y")
    with http.connect(address) as sock, sock.makefile("rb") as file:
        ask_and_end(sock, data)
        assert [http.read_response(file).status for _ in range(22)] == [200] * 22
    until(lambda: gateway.metric("sluice_sockets") == 1, 5, "the connection to be closed")


@pytest.mark.parametrize("left", [1000, 140, 4], ids=["nothing", "half a head", "half a body"])
def test_what_cannot_become_a_request_any_more_is_closed_at_once(address, gateway, left):
    request = http.request_bytes(address, "POST", "/publish/a", body=b"x" * 100)
    with http.connect(address) as sock:
        ask_and_end(sock, request[:-left])
        assert sock.recv(100) == b""
    until(lambda: gateway.metric("sluice_sockets") == 1, 5, "the connection to be closed")
