"""Connections whose PROXY header does not come whole."""

import socket
import time

from harness import http
from harness.process import cpu_seconds


def test_a_proxy_that_ends_within_its_header_is_closed_at_once_and_costs_no_time(start_gateway):
    gateway = start_gateway(workers=1, proxy_protocol=True, trusted_proxies=["127.0.0.1"])
    with http.connect(gateway.address) as sock:
        sock.sendall(b"PROXY TCP4 192.0.2.1")
        time.sleep(0.2)
        before = cpu_seconds(gateway.child.pid)
        sock.shutdown(socket.SHUT_WR)
        try:
            assert sock.recv(1) == b""
        except ConnectionResetError:
            pass  # closed with bytes unread
    assert cpu_seconds(gateway.child.pid) - before < 0.1


def test_a_header_that_comes_byte_by_byte_costs_no_time_between_its_bytes(start_gateway):
    gateway = start_gateway(workers=1, proxy_protocol=True, trusted_proxies=["127.0.0.1"])
    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n"
    with http.connect(gateway.address) as sock, sock.makefile("rb") as file:
        for byte in header[:-1]:
            sock.sendall(bytes([byte]))
            time.sleep(0.005)
        before = cpu_seconds(gateway.child.pid)
        time.sleep(0.3)
        assert cpu_seconds(gateway.child.pid) - before < 0.1
        sock.sendall(header[-1:] + http.request_bytes(gateway.address, "GET", "/healthz"))
        assert http.read_response(file).status == 200
