"""What heals itself: streams of durable channels miss nothing and notice nothing, or are told exactly what."""

import time

import pytest

from harness.process import until
from harness.sse import Event

NAMESPACES = [{"match": "short.*", "history": {"seconds": 1}},
              {"match": "kept.*", "history": {"messages": 100000}}, {"match": "*"}]


@pytest.fixture
def gateway(redis, start_gateway):
    return start_gateway(redis, namespaces=NAMESPACES)


def call(channel, data, *fields):
    return ("FCALL", "sluice_publish", 1, "sluice:", channel, data, "messages", 100000, *fields)


def publish(redis, channel, *datas):
    """As a backend does, past the gateway; the ids."""
    return [ident.decode() for ident in redis.pipeline([call(channel, data) for data in datas])]


def follow(gateway, *channels, **more):
    """A stream that is live: it has had something."""
    stream = gateway.subscribe(*channels, **more)
    ident = gateway.post(f"/publish/{channels[0]}", "first").json()["id"]
    assert stream.message().id == ident
    return stream


def number(ident):
    ms, rest = ident.split("-")
    return int(ms) * 1000 + int(rest)


def gaps(stream):
    return [i.json() for i in stream.seen if isinstance(i, Event) and i.event == "sluice.gap"]


def next_gap(stream, timeout=15):
    """The next gap; a message before it is an error of the test, heads are not."""
    while True:
        item = stream._find(lambda i: isinstance(i, Event) and i.event != "sluice.head", timeout)
        assert item.event == "sluice.gap", item
        return item


# -- clients notice nothing ---------------------------------------------------------------------------


def test_the_last_message_of_a_quiet_channel_is_found_when_its_subscriber_was_killed(gateway, redis):
    stream = follow(gateway, "kept.a")
    for n in range(3):
        ident = redis.pipeline([("CLIENT", "KILL", "TYPE", "pubsub"), call("kept.a", n)])[1].decode()
        assert stream.message(10) == Event("message", str(n), ident)
    assert gaps(stream) == []
    assert gateway.metric("sluice_holes_healed_total") >= 3


def test_a_subscriber_that_is_killed_under_load_misses_nothing(gateway, redis):
    stream = follow(gateway, "kept.a", pattern="kept.*")
    sent = []
    for n in range(40):
        if n % 10 == 5:
            redis.cli("CLIENT", "KILL", "TYPE", "pubsub")
        sent += publish(redis, f"kept.{'ab'[n % 2]}", *range(5))
        time.sleep(0.02)
    assert [stream.message(10).id for _ in sent] == sent
    assert gaps(stream) == []


def test_an_output_buffer_that_overflows_loses_nothing(gateway, redis):
    stream = follow(gateway, "kept.a")
    redis.cli("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1000 0 0")
    sent = publish(redis, "kept.a", *(f"{n} " + "x" * 100_000 for n in range(10)))
    until(lambda: gateway.lines("redis unavailable"), 10, "the subscriber to be dropped")
    redis.cli("CONFIG", "SET", "client-output-buffer-limit", "pubsub 33554432 8388608 60")
    assert [stream.message(15).id for _ in sent] == sent
    assert gaps(stream) == []


def test_a_message_whose_notice_could_not_go_out_is_delivered(gateway, redis):
    redis.cli("ACL", "SETUSER", "mute", "on", "nopass", "~*", "+@all", "resetchannels")
    stream = follow(gateway, "kept.a")
    redis.pipeline([("AUTH", "mute", "x")])
    ident = publish(redis, "kept.a", "unsaid")[0]
    assert stream.message(10) == Event("message", "unsaid", ident)
    redis.pipeline([("AUTH", "default", "x")])
    assert gaps(stream) == []


def test_channels_that_expire_and_come_back_are_no_gap_to_who_stayed(gateway, redis):
    stream = follow(gateway, "short.a")
    for n in range(2):
        until(lambda: redis.cli("EXISTS", "sluice:log:short.a") == 0, 10, "the log to go by itself")
        ident = gateway.post("/publish/short.a", str(n)).json()["id"]
        assert stream.message() == Event("message", str(n), ident)
    assert gaps(stream) == []


def test_who_comes_back_after_a_channel_expired_is_told_so_and_goes_on(gateway, redis, start_gateway):
    stream = follow(gateway, "short.a")
    last = gateway.post("/publish/short.a", "kept in mind").json()["id"]
    assert stream.message().id == last
    stream.close()
    lost = gateway.post("/publish/short.a", "lost").json()["id"]
    until(lambda: redis.cli("EXISTS", "sluice:log:short.a") == 0, 10, "the log to go by itself")
    other = start_gateway(redis, namespaces=NAMESPACES)  # which has no memory of it
    again = other.stream("/events?channel=short.a", {"Last-Event-ID": last})
    gap = next_gap(again)
    assert gap.json() == {"channel": "short.a", "reason": "trimmed", "from": last}
    assert number(gap.id) >= number(lost)
    ident = gateway.post("/publish/short.a", "next").json()["id"]
    assert again.message().id == ident and gaps(again) == [gap.json()]


@pytest.mark.parametrize("end", ["shut down", "killed"])
def test_a_restart_with_its_append_only_file_is_no_gap(start_redis, start_gateway, end):
    redis = start_redis(appendonly="yes", appendfsync="always")
    gateway = start_gateway(redis, namespaces=NAMESPACES)
    stream = follow(gateway, "kept.a")
    away = follow(gateway, "kept.b")
    away.close()
    last = publish(redis, "kept.b", "seen")[0]
    missed = publish(redis, "kept.b", "missed")
    if end == "shut down":
        redis.shut_down()
        redis.start()
    else:
        redis.restart()
    gateway.wait_log("redis ready", 15, times=2)
    until(lambda: gateway.get("/readyz").json()["status"] == "ready", 10, "redis")
    ident = publish(redis, "kept.a", "after")[0]
    assert stream.message(10).id == ident and gaps(stream) == []
    back = gateway.stream("/events?channel=kept.b", {"Last-Event-ID": last})
    assert back.message().id == missed[0] and gaps(back) == []


# -- what cannot be healed is told --------------------------------------------------------------------


def told_and_goes_on(gateway, redis, stream, last):
    """A gap `redis` from the last id on, and then what is published, with later ids."""
    gap = next_gap(stream)
    assert gap.json() == {"channel": "kept.a", "reason": "redis", "from": last}
    assert number(gap.id) >= number(last)
    until(lambda: gateway.get("/readyz").json()["status"] == "ready", 10, "redis")
    idents = publish(redis, "kept.a", "x", "y")
    assert [stream.message(10).id for _ in idents] == idents and number(idents[0]) > number(gap.id)
    assert gaps(stream) == [gap.json()], "told once"


def test_an_emptied_redis_is_told(gateway, redis):
    stream = follow(gateway, "kept.a")
    last = publish(redis, "kept.a", "last")[0]
    assert stream.message().id == last
    redis.cli("FLUSHALL")
    told_and_goes_on(gateway, redis, stream, last)


def test_a_redis_that_came_back_empty_is_told(gateway, redis):
    stream = follow(gateway, "kept.a")
    last = publish(redis, "kept.a", "last")[0]
    assert stream.message().id == last
    redis.restart()
    gateway.wait_log("redis ready", 15, times=2)
    gateway.post("/publish/other", "loads the library")
    told_and_goes_on(gateway, redis, stream, last)


def test_a_redis_that_came_back_older_is_told_to_who_stayed_and_who_comes_back(gateway, redis):
    stream = follow(gateway, "kept.a")
    publish(redis, "kept.a", "in the snapshot")
    redis.cli("SAVE")
    last = publish(redis, "kept.a", "lost")[0]
    assert [stream.message().data for _ in range(2)] == ["in the snapshot", "lost"]
    redis.restart()
    gateway.wait_log("redis ready", 15, times=2)
    told_and_goes_on(gateway, redis, stream, last)
    back = gateway.stream("/events?channel=kept.a", {"Last-Event-ID": last})
    assert next_gap(back).json()["reason"] == "redis"
    assert back.data(2) == ["x", "y"]


def test_a_trim_in_the_middle_of_a_replay_is_a_gap_there(redis, start_gateway):
    gateway = start_gateway(redis, namespaces=NAMESPACES)
    start = publish(redis, "kept.a", "start")[0]
    sent = publish(redis, "kept.a", *(f"{n} " + "x" * 20_000 for n in range(1500)))
    stream = gateway.stream("/events?channel=kept.a", {"Last-Event-ID": start}, receive_buffer=4096)
    got = [stream.message().id for _ in range(10)]
    redis.cli("XTRIM", "sluice:log:kept.a", "MAXLEN", 5)
    while got[-1] != sent[-1]:
        got.append(stream.message(10).id)
    told = gaps(stream)
    assert len(told) == 1 and told[0]["reason"] == "trimmed"
    at = sent.index(told[0]["from"]) + 1
    assert got == sent[:at] + sent[-5:] and at < 1495, "all before the gap, and all behind it"


# -- one order ----------------------------------------------------------------------------------------


def test_fifty_channels_and_three_patterns_come_in_one_order_once_each(redis, start_gateway):
    gateways = [start_gateway(redis, namespaces=NAMESPACES) for _ in range(2)]
    named = [f"kept.{n}" for n in range(50)]
    streams = [g.subscribe(*named, pattern=["kept.*", "kept.1*", "*.2"]) for g in gateways]
    sent = []
    for n in range(10):
        first = redis.pipeline([("MULTI",), call(f"kept.{n}", "in"), call("kept.49", "one"), ("EXEC",)])[-1]
        sent += [ident.decode() for ident in first]
        batch = [{"channel": f"kept.{(n * 7 + i) % 60}", "data": i} for i in range(30)]
        sent += [answer["id"] for answer in gateways[n % 2].post("/publish", batch).json()]
    assert [number(i) for i in sent] == sorted({number(i) for i in sent})
    for stream in streams:
        assert [stream.message().id for _ in sent] == sent
        assert gaps(stream) == []
