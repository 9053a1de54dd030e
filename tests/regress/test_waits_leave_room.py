"""
Invalidations that had long been announced and only waited, be it for clients that had gone, counted
as under way: 4,096 of them, and for half a minute nobody could invalidate anything.
"""

import contextlib

import pytest

from harness import http
from harness.peer import Peer, invalidate
from harness.process import until

MOST = 4096


@pytest.mark.deadline(60)
def test_abandoned_waits_do_not_keep_others_from_invalidating(redis, start_gateway):
    gateway = start_gateway(redis, limits={"per_address": 8192})
    Peer(gateway, "silent").begin()
    with contextlib.ExitStack() as held:
        waits = [held.enter_context(http.connect(gateway.address)) for _ in range(MOST)]
        for wait in waits:
            wait.sendall(http.request_bytes(gateway.address, "POST",
                                            "/invalidate?wait=all&timeout_ms=30000", (), b'{"keys":["k"]}'))
        until(lambda: gateway.metric("sluice_invalidations_total") >= MOST, 30, "all to be announced")
    for n in range(3):
        answer = invalidate(gateway, keys=[str(n)])
        assert answer.status == 200, answer
