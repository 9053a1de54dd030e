"""Whatever Redis does: the gateway stays up, streams stay open, nothing is missed in silence."""

import threading
import time

import pytest

from harness.fakes import loading, readonly_publish
from harness.process import cpu_seconds, descriptors, until
from harness.redis import Redis, free_port
from harness.resp import RedisError, Resp
from harness.sse import Comment, Event, Stream

pytestmark = [pytest.mark.threads, pytest.mark.deadline(60)]

READY, AWAY = r"redis ready", r"redis unavailable"


def is_degraded(gateway):
    return gateway.get("/readyz").json()["status"] == "degraded"


def heard(stream, redis, channel, text, seconds=20):
    """Publishes until the stream hears it; whatever else it hears meanwhile is passed over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        redis.publish(channel, text)
        try:
            stream._find(lambda i: isinstance(i, Event) and i.data == text, 0.3)
            return
        except TimeoutError:
            continue
    raise AssertionError(f"{channel} never heard {text!r}: {stream.seen[-5:]}")


# -- at the start --------------------------------------------------------------------------------

def test_the_gateway_starts_without_redis_and_finds_it_when_it_comes(start_gateway, makers):
    port = free_port()
    gateway = start_gateway(f"redis://127.0.0.1:{port}", wait=False)
    gateway.wait_log(AWAY)
    stream = gateway.stream("/events?channel=early")
    stream.comment("waiting for redis")
    assert is_degraded(gateway)
    redis = makers.add(Redis(port=port))
    gateway.wait_log(READY, 15)
    stream.subscribed()
    redis.publish("early", "at last")
    assert stream.data(1) == ["at last"]
    assert gateway.get("/readyz").json()["status"] == "ready"


@pytest.mark.root
def test_a_host_that_does_not_exist_is_unavailable_and_no_more(netns, start_gateway, tmp_path):
    gateway = start_gateway("redis://no-such-host.invalid:6379", within=netns, wait=False,
                            listen=[f"unix:{tmp_path}/s"])
    gateway.wait_log(AWAY, 15)
    assert gateway.get("/healthz").status == 200
    assert gateway.post("/publish/a", "x").status == 503


def test_a_wrong_password_is_said_and_never_shown(start_redis, start_gateway):
    redis = start_redis(requirepass="right-word")
    gateway = start_gateway(f"redis://:wr0ng-word@127.0.0.1:{redis.port}", wait=False)
    line = gateway.wait_log(AWAY)[0]
    assert "password" in line.lower() or "WRONGPASS" in line or "AUTH" in line
    assert "wr0ng-word" not in gateway.log()
    redis.cli("CONFIG", "SET", "requirepass", "wr0ng-word")
    gateway.wait_log(READY, 20)
    stream = gateway.subscribe("auth")
    redis.publish("auth", "x")
    assert stream.data(1) == ["x"]


def test_a_missing_password_is_said(start_redis, start_gateway):
    redis = start_redis(requirepass="word")
    gateway = start_gateway(redis, wait=False)
    assert "NOAUTH" in gateway.wait_log(AWAY)[0]


def test_maxclients_is_said_and_waited_out(start_redis, start_gateway):
    redis = start_redis(maxclients=4)
    idle = []
    try:
        while True:
            client = Resp(("127.0.0.1", redis.port))
            client.call("PING")
            idle.append(client)
    except (RedisError, ConnectionError):
        pass
    gateway = start_gateway(redis, wait=False)
    assert "max number of clients" in gateway.wait_log(AWAY)[0]
    for client in idle:
        client.close()
    gateway.wait_log(READY, 20)


def test_a_redis_that_is_loading_is_waited_for(start_fake, start_gateway, makers):
    fake = start_fake(script=loading)
    gateway = start_gateway(fake, wait=False)
    assert "LOADING" in gateway.wait_log(AWAY)[0]
    stream = gateway.stream("/events?channel=load")
    stream.comment("waiting for redis")
    assert gateway.post("/publish/load", "x").status == 503
    fake.close()
    makers.made.remove(fake)
    redis = makers.add(Redis(port=fake.port))
    gateway.wait_log(READY, 20)
    heard(stream, redis, "load", "loaded")


# -- while it runs -------------------------------------------------------------------------------

def cut_by_restart(redis):
    redis.restart()


def cut_by_client_kill(redis):
    redis.cli("CLIENT", "KILL", "TYPE", "pubsub")


def cut_by_freeze(redis):
    redis.stop()
    time.sleep(9)
    redis.cont()


@pytest.mark.parametrize("cut", [cut_by_restart, cut_by_client_kill, cut_by_freeze])
def test_after_a_reconnect_every_affected_stream_is_told_a_gap_and_hears_again(
        redis, start_gateway, cut):
    gateway = start_gateway(redis)
    channel = gateway.subscribe("cut.a")
    both = gateway.subscribe("cut.a", "cut.b", pattern="p.*")
    cut(redis)
    gap = channel.control("sluice.gap", 20)
    assert gap.json() == {"channel": "cut.a", "reason": "redis", "from": None}
    gaps = [both.control("sluice.gap", 20).json() for _ in range(3)]
    assert all(g["reason"] == "redis" and g["from"] is None for g in gaps)
    assert sorted(g.get("channel") or "~" + g["pattern"] for g in gaps) == ["cut.a", "cut.b", "~p.*"]
    for name in ("cut.a", "cut.b", "p.x"):
        heard(both, redis, name, "again on " + name)
    heard(channel, redis, "cut.a", "and here")


def test_a_killed_redis_that_comes_back_is_subscribed_to_again(redis, start_gateway):
    gateway = start_gateway(redis)
    streams = [gateway.subscribe(f"back.{n}", pattern=f"back.p{n}.*") for n in range(20)]
    redis.kill()
    gateway.wait_log(AWAY)
    redis.start()
    gateway.wait_log(READY, 15, times=2)
    until(lambda: all(redis.numsub(f"back.{n}") == 1 for n in range(20)), 10, "all channels")
    until(lambda: redis.numpat() == 20, 10, "all patterns")
    for n, stream in enumerate(streams):
        redis.publish(f"back.{n}", "channel")
        redis.publish(f"back.p{n}.x", "pattern")
        assert stream.data(2) == ["channel", "pattern"]


def test_the_gap_comes_before_the_first_message_after_it(redis, start_gateway):
    """A client that hears a new message must already know that it missed some."""
    gateway = start_gateway(redis)
    stream = gateway.subscribe("order")
    for n in range(5):
        redis.publish("order", f"before {n}")
        assert stream.data(1) == [f"before {n}"]
        redis.cli("CLIENT", "KILL", "TYPE", "pubsub")
        until(lambda: redis.numsub("order") == 1, 10, "the subscription to be back")
        redis.publish("order", "after")
        events = [stream._find(lambda i: isinstance(i, Event), 5) for _ in range(2)]
        assert [e.event for e in events] == ["sluice.gap", "message"]


def test_a_stream_that_came_while_redis_was_away_is_told_no_gap(redis, start_gateway):
    gateway = start_gateway(redis)
    redis.kill()
    gateway.wait_log(AWAY)
    stream = gateway.stream("/events?channel=new")
    stream.comment("waiting for redis")
    redis.start()
    stream.subscribed()
    redis.publish("new", "x")
    assert stream.message() == Event("message", "x")
    assert not any(isinstance(i, Event) and i.event == "sluice.gap" for i in stream.seen)


def test_streams_stay_open_and_keep_their_heartbeat_while_redis_is_away(redis, start_gateway):
    gateway = start_gateway(redis, stream={"heartbeat_seconds": 1})
    streams = [gateway.subscribe(f"open.{n}") for n in range(10)]
    redis.kill()
    gateway.wait_log(AWAY)
    for _ in range(3):
        for stream in streams:
            assert isinstance(stream.next(3), Comment)
    assert all(s.is_open() for s in streams)
    assert gateway.metric("sluice_connections") == 10


def test_publishing_while_redis_is_away_is_503_with_the_reason(redis, start_gateway):
    gateway = start_gateway(redis)
    redis.kill()
    gateway.wait_log(AWAY)
    for response in (gateway.post("/publish/a", "x"),
                     gateway.post("/publish", {"channel": "a", "data": 1})):
        assert response.status == 503 and response.header("retry-after")
        assert "redis" in response.error().lower()
    batch = gateway.post("/publish", [{"channel": c, "data": 1} for c in "ab"])
    assert batch.status == 503 and batch.header("retry-after")
    assert [(a["channel"], "error" in a) for a in batch.json()] == [("a", True), ("b", True)]
    redis.start()
    gateway.wait_log(READY, 15, times=2)
    until(lambda: gateway.post("/publish/a", "x").status == 200, 5, "publishing to work again")


def test_a_publish_to_a_frozen_redis_is_answered_503_in_time(redis, start_gateway):
    gateway = start_gateway(redis)
    redis.stop()
    began = time.monotonic()
    response = gateway.post("/publish/frozen", "x", timeout=15)
    took = time.monotonic() - began
    redis.cont()
    assert response.status == 503
    assert took < 10
    response.error()


def test_a_frozen_redis_is_noticed_within_ten_seconds(redis, start_gateway):
    gateway = start_gateway(redis)
    gateway.subscribe("frozen")
    redis.stop()
    gateway.wait_log(AWAY, 10)
    assert is_degraded(gateway)
    redis.cont()
    gateway.wait_log(READY, 15, times=2)


def test_ready_and_unavailable_are_said_once_a_change_and_not_once_a_try(redis, start_gateway):
    """A second reason (lost, then refused) is a change; the same reason again is none."""
    gateway = start_gateway(redis)
    said = 0
    for n in range(1, 3):
        redis.kill()
        gateway.wait_log(AWAY, 5, times=said + 1)
        time.sleep(4)  # several tries
        reasons = [line.split(": redis unavailable: ")[1] for line in gateway.lines(AWAY)[said:]]
        assert len(set(reasons)) == len(reasons) <= 2, reasons
        said += len(reasons)
        redis.start()
        gateway.wait_log(READY, 15, times=n + 1)
    assert len(gateway.lines(READY)) == 3
    assert len(gateway.lines(AWAY)) == said


def test_waiting_for_redis_costs_no_cpu_and_no_descriptors(redis, start_gateway):
    gateway = start_gateway(redis)
    gateway.subscribe("idle")
    redis.kill()
    gateway.wait_log(AWAY)
    before, open_before = cpu_seconds(gateway.child.pid), descriptors(gateway.child.pid)
    time.sleep(4)
    assert cpu_seconds(gateway.child.pid) - before < 1
    assert descriptors(gateway.child.pid) <= open_before + 2


def test_the_tries_back_off(start_fake, start_gateway):
    """Six seconds of refusals: with a fixed short pause there would be dozens of tries."""
    fake = start_fake(script=loading)
    start_gateway(fake, wait=False)
    time.sleep(6)
    tries = len(fake.received)
    assert 2 <= tries <= 40, tries
    time.sleep(2)
    assert len(fake.received) - tries <= 12


def test_channels_opened_and_left_while_redis_is_away_are_right_afterwards(redis, start_gateway):
    gateway = start_gateway(redis, redis_linger_ms=50)
    left = gateway.subscribe("left")
    redis.kill()
    gateway.wait_log(AWAY)
    left.close()
    opened = gateway.stream("/events?channel=opened&pattern=o.*")
    gateway.wait_metric("sluice_connections", 1)
    time.sleep(0.3)
    redis.start()
    gateway.wait_log(READY, 15, times=2)
    opened.subscribed()
    assert redis.numsub("opened") == 1 and redis.numpat() == 1
    assert redis.numsub("left") == 0


def test_a_read_only_redis_refuses_the_publish_and_nothing_else(start_fake, start_gateway):
    fake = start_fake(script=readonly_publish)
    gateway = start_gateway(fake)
    stream = gateway.subscribe("ro")
    response = gateway.post("/publish/ro", "x")
    assert response.status == 503
    assert "READONLY" in response.error()
    assert stream.is_open()
    assert gateway.get("/readyz").json()["status"] == "ready"


def test_a_replica_is_refused_as_readonly_until_it_is_promoted(redis, start_redis, start_gateway):
    """It would refuse the writes that durable channels need, and PUBLISH there reaches few."""
    replica = start_redis(replicaof=["127.0.0.1", redis.port])
    gateway = start_gateway(replica, wait=False)
    assert "READONLY" in gateway.wait_log(AWAY)[0]
    stream = gateway.stream("/events?channel=promoted")
    stream.comment("waiting for redis")
    assert "READONLY" in gateway.post("/publish/promoted", "x").error()
    replica.cli("REPLICAOF", "NO", "ONE")
    gateway.wait_log(READY, 15)
    stream.subscribed()
    replica.publish("promoted", "x")
    assert stream.data(1) == ["x"]


def test_a_primary_that_becomes_a_replica_is_noticed(redis, start_redis, start_gateway):
    gateway = start_gateway(redis)
    gateway.subscribe("demoted")
    redis.cli("REPLICAOF", "127.0.0.1", start_redis().port)
    assert "READONLY" in gateway.wait_log(AWAY, 10)[0]


def test_a_payload_over_message_bytes_is_dropped_counted_and_hurts_nobody(redis, start_gateway):
    gateway = start_gateway(redis, limits={"message_bytes": 1000})
    stream, bystander = gateway.subscribe("big"), gateway.subscribe("small")
    for size in (1001, 100_000, 10_000_000):  # 32 MB and Redis itself would cut us off
        redis.publish("big", b"x" * size)
    redis.publish("big", b"y" * 1000)
    redis.publish("small", "unhurt")
    assert bystander.data(1, 15) == ["unhurt"]
    assert stream.data(1, 15) == ["y" * 1000]
    assert gateway.metrics()['sluice_dropped_messages_total{reason="oversize"}'] == 3
    assert len(gateway.lines(READY)) == 1, "the connection should have lived through it"


def test_redis_killed_and_restarted_under_load_loses_no_stream(redis, start_gateway):
    gateway = start_gateway(redis)
    streams = [gateway.subscribe("load", pattern="load.*") for _ in range(50)]
    ending = threading.Event()

    def publish():
        client = None
        while not ending.is_set():
            try:
                client = client or Resp(("127.0.0.1", redis.port))
                client.pipeline([("PUBLISH", "load", "x" * 200)] * 20)
                time.sleep(0.02)  # as fast as this test reads
            except (OSError, ConnectionError, RedisError):
                client = None
                time.sleep(0.05)
        if client:
            client.close()

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        for n in range(2, 5):
            for stream in streams:
                stream.drain()
            redis.restart()
            gateway.wait_log(READY, 15, times=n)
    finally:
        ending.set()
        publisher.join(10)
    for stream in streams:
        assert stream.is_open()
        heard(stream, redis, "load", "after all")
    assert gateway.metric("sluice_slow_disconnects_total") == 0


@pytest.mark.root
def test_a_network_that_swallows_packets_is_noticed_within_ten_seconds(
        netns, start_redis, start_gateway, tmp_path):
    redis = start_redis(within=netns)
    gateway = start_gateway(redis, within=netns, listen=[f"unix:{tmp_path}/s"])
    stream = gateway.subscribe("cut", pattern="cut.*")
    netns.swallow(redis.port)
    gateway.wait_log(AWAY, 10)
    assert is_degraded(gateway)
    began = time.monotonic()
    assert gateway.post("/publish/cut", "x").status == 503
    assert time.monotonic() - began < 6
    assert stream.is_open()
    netns.heal()
    gateway.wait_log(READY, 20, times=2)
    assert stream.control("sluice.gap", 10).json()["reason"] == "redis"
    heard(stream, redis, "cut.x", "healed")


@pytest.mark.root
def test_a_redis_behind_a_dead_network_does_not_hold_up_the_start(
        netns, start_redis, start_gateway, tmp_path):
    redis = start_redis(within=netns)
    netns.swallow(redis.port)
    gateway = start_gateway(redis, within=netns, wait=False, listen=[f"unix:{tmp_path}/s"])
    assert gateway.get("/healthz").status == 200
    with Stream(gateway.address, "/events?channel=a") as stream:
        stream.comment("waiting for redis")
    gateway.wait_log(AWAY, 12)
    netns.heal()
    gateway.wait_log(READY, 20)
