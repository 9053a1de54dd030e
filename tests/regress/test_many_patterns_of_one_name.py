"""
Redis sends a publication once for each pattern that matches. One stream with a hundred patterns made fifty
megabytes of a message of half a megabyte, for which Redis cut the gateway off: everybody had a gap.
"""

from urllib.parse import urlencode

import pytest

from harness.process import until

PATTERNS = [f"kept.[{chr(code)}-z]*{end}" for code in range(ord("a"), ord("y")) for end in ("", "?", "[a-z]", "*")]
MESSAGE = "x" * 450_000


@pytest.fixture
def gateway(redis, start_gateway):
    return start_gateway(redis, redis_linger_ms=0, namespaces=[{"match": "kept.zd*", "history": {}}])


def greedy(gateway, **query):
    target = "/events?" + urlencode([("pattern", p) for p in PATTERNS] + list(query.items()))
    return gateway.stream(target).subscribed()


def test_a_large_message_that_a_hundred_patterns_match_costs_nobody_his_stream(gateway, redis):
    bystander = gateway.subscribe("kept.zz")
    stream = greedy(gateway)
    assert redis.numpat() < 50  # of channels and their notices
    for n in range(3):
        redis.publish("kept.zz", f"{n}{MESSAGE}")
        assert bystander.message().data == f"{n}{MESSAGE}"
        assert stream.message().data == f"{n}{MESSAGE}"
    assert not gateway.lines("redis unavailable")


def test_who_rides_on_another_pattern_gets_everything_once_live_and_resumed(gateway, redis):
    stream = greedy(gateway)
    ids = [gateway.post("/publish/kept.zd", str(n)).json()["id"] for n in range(5)]
    assert [stream.message().id for _ in ids] == ids
    with gateway.subscribe(pattern=PATTERNS[-1], live=0, since=ids[0]) as late:  # of those that ride
        assert [late.message().id for _ in ids[1:]] == ids[1:]
    redis.cli("CLIENT", "KILL", "TYPE", "pubsub")
    ids = [redis.cli("FCALL", "sluice_publish", "1", "sluice:", "kept.zd", f"late {n}").decode() for n in range(5)]
    assert [stream.message(20).id for _ in ids] == ids


def test_when_all_have_left_redis_has_no_pattern_of_ours(gateway, redis):
    greedy(gateway).close()
    gateway.close_streams()
    until(lambda: redis.numpat() == 0, 10, "the patterns to be left")
