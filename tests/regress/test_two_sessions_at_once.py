"""
Two feeds of one name that were opened at the same moment on two gateways ended each other: each
took the other's word for one that came after its own, and the peer had none.
"""

import contextlib

from harness import http
from harness.peer import Peer
from harness.process import until

PAIRS = 20


def is_open(sock):
    sock.settimeout(0.05)
    try:
        while sock.recv(65536):
            pass
    except TimeoutError:
        return True
    return False


def test_of_two_sessions_at_once_one_stays(redis, start_gateway):
    gateways = [start_gateway(redis), start_gateway(redis)]
    for n, gateway in enumerate(gateways):
        Peer(gateway, f"warm-{n}").begin()
    with contextlib.ExitStack() as held:
        pairs = []
        for n in range(PAIRS):
            pair = [held.enter_context(http.connect(g.address)) for g in gateways]
            for gateway, sock in zip(gateways, pair):
                sock.sendall(http.request_bytes(gateway.address, "GET", f"/invalidations?peer=both-{n}"))
            pairs.append(pair)
        until(lambda: len([p for p in pairs if sum(map(is_open, p)) < 2]) == PAIRS, 15, "one of each to end")
        assert [sum(map(is_open, p)) for p in pairs] == [1] * PAIRS
