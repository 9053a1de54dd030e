"""Durable messages between the gateway and Redis: rights, flushed functions, lost connections, memory."""

import threading

import pytest

from harness.peer import Peer, invalidate
from harness.process import until
from harness.redis import without_functions

# So long a history that no test of this file has it trimmed.
NAMESPACES = [{"match": "kept.*", "history": {"messages": 100000}}, {"match": "*"}]
DENIED = "+@all -function -fcall"


@pytest.fixture
def gateway(redis, start_gateway):
    return start_gateway(redis, namespaces=NAMESPACES)


def calls(redis, command):
    stats = redis.cli("INFO", "commandstats").decode()
    line = next((s for s in stats.split() if s.startswith(f"cmdstat_{command}:")), "calls=0,")
    return int(line.split("calls=")[1].split(",")[0])


def restrict(redis, rights):
    """The gateway's user, whom Redis knows as the default one."""
    redis.cli("ACL", "SETUSER", "default", *rights.split())


def publish(gateway, data, channel="kept.a"):
    answer = gateway.post(f"/publish/{channel}", data)
    assert answer.status == 200, answer
    return answer.json()["id"]


def stored(redis, channel="kept.a"):
    return [entry[1][1] for entry in redis.cli("XRANGE", f"sluice:log:{channel}", "-", "+")]


def test_a_backend_that_calls_the_function_reaches_streams_with_the_same_id(gateway, redis):
    publish(gateway, "loads the library", "kept.other")
    stream = gateway.subscribe("kept.a")
    ident = redis.cli("FCALL", "sluice_publish", 1, "sluice:", "kept.a", "second", "event", "paid")
    message = stream.message()
    assert (message.data, message.event, message.id) == ("second", "paid", ident.decode())


def test_a_gateway_without_history_calls_no_function(redis, start_gateway):
    gateway = start_gateway(redis)
    stream = gateway.subscribe("a")
    assert gateway.post("/publish/a", "x").status == 200
    assert stream.message().data == "x"
    assert calls(redis, "fcall") + calls(redis, "evalsha") + calls(redis, "function|load") == 0


def test_by_scripts_streams_have_the_same(redis, start_gateway):
    restrict(redis, DENIED)
    gateway = start_gateway(redis, namespaces=NAMESPACES)
    stream = gateway.subscribe("kept.a")
    ids = [publish(gateway, str(n)) for n in range(3)]
    assert [stream.message().id for _ in ids] == ids
    redis.cli("SCRIPT", "FLUSH")
    ids.append(publish(gateway, "3"))
    assert stream.message().id == ids[3]
    assert calls(redis, "function|load") == 0 and calls(redis, "evalsha") > 0


def test_with_a_redis_before_functions_streams_and_peers_have_the_same(start_redis, start_gateway, tmp_path):
    redis = start_redis(include=without_functions(tmp_path))
    gateway = start_gateway(redis, namespaces=NAMESPACES,
                            invalidation={"tracking": {"prefixes": ["product:"]}})
    stream = gateway.subscribe("kept.a")
    ids = [publish(gateway, str(n)) for n in range(3)]
    assert [stream.message().id for _ in ids] == ids
    back = gateway.stream("/events?channel=kept.a", {"Last-Event-ID": ids[0]})
    assert [back.message().id for _ in ids[1:]] == ids[1:]
    peer = Peer(gateway, "app-1").begin()
    assert invalidate(gateway, keys=["k"]).status == 200
    gateway.wait_metric("sluice_tracking_recorder", 1)
    redis.cli("SET", "product:1", "x")
    told = []
    while "product:1" not in told:
        told += peer.next().json().get("keys", [])
    assert told == ["k", "product:1"] and peer.ack().status == 200


def test_a_user_who_may_not_is_told_what_is_missing_and_plain_channels_work(redis, start_gateway):
    restrict(redis, DENIED + " -script -evalsha")
    gateway = start_gateway(redis, namespaces=NAMESPACES)
    answer = gateway.post("/publish/kept.a", "x")
    assert answer.status >= 400 and "+fcall +function|load" in answer.body.decode()
    stream = gateway.subscribe("plain")
    assert gateway.post("/publish/plain", "x").status == 200
    assert stream.message().data == "x"


def test_flushed_functions_are_loaded_again_under_load(gateway, redis):
    stream = gateway.subscribe("kept.a")
    ids = []
    for n in range(60):
        if n % 10 == 5:
            redis.cli("FUNCTION", "FLUSH")
        ids.append(publish(gateway, str(n)))
    assert [stream.message().id for _ in ids] == ids


def test_publishes_whose_connections_are_killed_are_there_once(gateway, redis):
    accepted, over = [], threading.Event()

    def work():
        n = 0
        while not over.is_set():
            if gateway.post("/publish/kept.a", str(n)).status == 200:
                accepted.append(str(n).encode())
            n += 1

    publisher = threading.Thread(target=work)
    publisher.start()
    try:
        for _ in range(4):
            before = len(accepted)
            redis.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            until(lambda: len(accepted) > before + 5, 10, "publishes go on")
    finally:
        over.set()
        publisher.join()
    kept = stored(redis)
    assert len(kept) == len(set(kept)) and set(accepted) <= set(kept)
    assert gateway.metric("sluice_redis_connects_total") >= 5


def test_a_publish_into_a_frozen_redis_is_there_once(gateway, redis):
    publish(gateway, "before")
    redis.stop()
    answers = []
    publisher = threading.Thread(
        target=lambda: answers.append(gateway.post("/publish/kept.a", "x", timeout=20)))
    publisher.start()
    gateway.wait_log("redis unavailable", 15)
    redis.cont()
    publisher.join()
    assert [a.status for a in answers] == [200]
    assert stored(redis) == [b"before", b"x"]


def test_bytes_and_a_mebibyte_come_through(gateway, redis):
    stream = gateway.subscribe("kept.a")
    for data in ("\x00\x01é\u2028", "m" * 1048576):
        ident = publish(gateway, data.encode())
        message = stream.message()
        assert (message.data, message.id) == (data, ident)


def test_a_redis_that_may_evict_is_warned_of(redis, start_gateway):
    redis.cli("CONFIG", "SET", "maxmemory", "100mb")
    redis.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    gateway = start_gateway(redis, namespaces=NAMESPACES)
    gateway.wait_log("maxmemory-policy allkeys-lru")
    until(lambda: gateway.metric("sluice_redis_may_evict") == 1, 5, "the metric")
    ready = gateway.get("/readyz")
    assert ready.status == 200 and "noeviction" in ready.json()["warning"]


def test_a_redis_that_keeps_all_is_not_warned_of(gateway):
    publish(gateway, "x")
    assert gateway.metric("sluice_redis_may_evict") == 0
    assert "warning" not in gateway.get("/readyz").json()
