"""Reload: SIGHUP takes what can change, names what cannot, and no stream notices."""

import hashlib
import json
import os
import signal
import time

import pytest

from harness import http
from harness.process import descriptors, memory, until
from harness.redis import free_port
from harness.sse import Comment, Event, Retry
from harness.tls import Pair


def key(name, *scopes):
    return {"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": list(scopes)}


def bearer(name):
    return [("Authorization", f"Bearer {name}")]


@pytest.fixture
def alone(start_gateway):
    """A gateway of its own, and a stream that must outlive the reload and miss nothing."""
    started = []

    def start(*args, **settings):
        gateway = start_gateway(*args, **settings)
        started.append((gateway, gateway.subscribe("witness")))
        return gateway
    yield start
    for gateway, stream in started:
        headers = bearer("witness") if gateway.config.get("keys") else ()
        assert gateway.post("/publish/witness", "missed nothing", headers).status == 200
        assert stream.message() == Event("message", "missed nothing")
        assert not [i for i in stream.seen[:-1] if isinstance(i, Event)]


def plainly(line):
    assert line.endswith("reloaded"), line


@pytest.mark.threads
def test_a_reload_takes_new_keys_and_forgets_old_ones(alone):
    witness = key("witness", "publish:witness", "stats")
    gateway = alone(open=False, keys=[witness, key("old", "publish:*"), key("moved", "publish:a")])
    assert gateway.post("/publish/a", "x", bearer("new")).status == 401
    plainly(gateway.reload(keys=[key("new", "publish:*"), witness, key("moved", "publish:b")]))
    until(lambda: [gateway.post("/publish/a", "x", bearer("new")).status for _ in range(6)] == [200] * 6,
          5, "every worker to know the new key")
    assert gateway.post("/publish/a", "x", bearer("old")).status == 401
    assert gateway.post("/publish/a", "x", bearer("moved")).status == 403
    assert gateway.post("/publish/b", "x", bearer("moved")).status == 200


@pytest.mark.threads
def test_a_reload_takes_new_namespaces_for_streams_that_are_open_too(shared_redis, alone, name):
    gateway = alone(shared_redis)
    stream = gateway.subscribe(name)
    envelope = json.dumps({"event": "named", "data": "inside"})
    shared_redis.publish(name, envelope)
    assert stream.message() == Event("message", envelope)
    plainly(gateway.reload(namespaces=[{"match": name, "payload": "envelope"}]))
    shared_redis.publish(name, envelope)
    assert stream.message() == Event("named", "inside")
    assert gateway.post(f"/publish/{name}?event=allowed", "x").status == 200
    assert stream.message() == Event("allowed", "x")


def test_a_reload_makes_channels_durable_and_back_for_streams_that_are_open(shared_redis, alone, name):
    gateway = alone(shared_redis)
    stream = gateway.subscribe(name)
    plainly(gateway.reload(namespaces=[{"match": name, "history": {}}]))
    on_every_worker(gateway, lambda: "id" in gateway.post(f"/publish/{name}", "x").json())
    last = gateway.post(f"/publish/{name}", "last").json()["id"]
    got = stream.message()
    while got.data != "last":
        got = stream.message()
    assert got.id == last
    behind = gateway.stream(f"/events?channel={name}&last=1&live=0")
    assert behind.message().id == last
    plainly(gateway.reload(namespaces=[]))
    on_every_worker(gateway, lambda: "receivers" in gateway.post(f"/publish/{name}", "plain").json())
    until(lambda: stream.message().id is None, 5, "an ephemeral message")


def test_a_reload_takes_new_cors_origins(alone):
    gateway = alone(cors={"origins": ["https://old.example"]})
    origin = [("Origin", "https://new.example")]

    def allowed():
        return gateway.get("/healthz", origin).header("access-control-allow-origin")
    assert allowed() is None
    plainly(gateway.reload(cors={"origins": ["https://new.example"]}))
    until(lambda: [allowed() for _ in range(6)] == ["https://new.example"] * 6, 5, "the new origin")
    old = gateway.get("/healthz", [("Origin", "https://old.example")])
    assert old.header("access-control-allow-origin") is None


def on_every_worker(gateway, ask):
    """ask() says whether one connection finds the new setting."""
    until(lambda: all(ask() for _ in range(8)), 5, "every worker to have the new setting")


LIMITS = {
    "channels": (1, lambda g: g.get("/events?channel=a&channel=b&wrap=9").status == 400 and
                 "limit of 1" in g.get("/events?channel=a&channel=b&wrap=9").error()),
    "name_bytes": (2, lambda g: "name" in g.get("/events?channel=abc&wrap=9").error()),
    "body_bytes": (4, lambda g: g.post("/publish/a", "12345").status == 413),
    "message_bytes": (4, lambda g: g.post("/publish/a", "12345").status == 413),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_reload_takes_new_limits(alone, limit):
    gateway = alone()
    small, refused = LIMITS[limit]
    assert gateway.post("/publish/a", "12345").status == 200
    plainly(gateway.reload(limits={limit: small}))
    on_every_worker(gateway, lambda: refused(gateway))
    plainly(gateway.reload(limits={limit: 1000}))
    on_every_worker(gateway, lambda: gateway.post("/publish/a", "12345").status == 200)


def test_a_reload_takes_a_new_queue_bytes_for_streams_that_are_open(shared_redis, alone, name):
    gateway = alone(shared_redis, limits={"queue_bytes": 64 << 20})
    stuck = gateway.stream(f"/events?channel={name}", receive_buffer=4096).subscribed()
    for _ in range(10):
        shared_redis.publish(name, "x" * 1_000_000)
    gateway.wait_metric("sluice_messages_total", 10)
    reader = gateway.subscribe(name)
    plainly(gateway.reload(limits={"queue_bytes": 1000}))
    time.sleep(0.2)
    shared_redis.publish(name, "one more")
    assert reader.message().data == "one more"
    gateway.wait_metric("sluice_slow_disconnects_total", 1)
    stuck.close()


def test_a_reload_takes_a_new_request_seconds(alone):
    gateway = alone(limits={"request_seconds": 600})
    plainly(gateway.reload(limits={"request_seconds": 1}))
    on_every_worker(gateway, lambda: gateway.get("/healthz").status == 200)
    with http.connect(gateway.address) as sock, sock.makefile("rb") as file:
        sock.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert http.read_response(file).status == 408


def test_a_reload_takes_a_new_retry(alone):
    gateway = alone(stream={"retry_ms": 1000})
    plainly(gateway.reload(stream={"retry_ms": 500_000}))

    def retry():
        with http.connect(gateway.address) as sock:
            sock.sendall(http.request_bytes(gateway.address, "GET", "/events"))
            data = b""
            while b"\nretry: " not in data or not data.endswith(b"\n\n"):
                data += sock.recv(4096)
        return int(data.split(b"\nretry: ")[1].split(b"\n")[0])
    on_every_worker(gateway, lambda: retry() >= 500_000)


def test_a_reload_takes_a_new_heartbeat_for_new_streams(alone):
    gateway = alone(stream={"heartbeat_seconds": 300})
    plainly(gateway.reload(stream={"heartbeat_seconds": 1}))
    time.sleep(0.1)
    assert gateway.subscribe("beat").comment("heartbeat", 4) == Comment("heartbeat")


def test_a_reload_takes_a_new_log_level_and_format(alone):
    gateway = alone()
    plainly(gateway.reload(log={"level": "info", "format": "json"}))
    line = gateway.reload(log={"level": "debug", "format": "json"})
    assert json.loads(line)["level"] == "info", line
    gateway.reload(log={"level": "error", "format": "text"})
    before = gateway.log()
    gateway.child.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert gateway.log() == before, "nothing below error is logged any more"


def test_a_reload_takes_a_new_drain_seconds(start_gateway):
    gateway = start_gateway(drain_seconds=600)
    stream = gateway.subscribe("end")
    plainly(gateway.reload(drain_seconds=1))
    gateway.child.terminate()
    assert isinstance(stream.rest(4)[-1], Retry)
    gateway.stop()


def test_a_reload_takes_a_new_linger(shared_redis, alone, name):
    gateway = alone(shared_redis, redis_linger_ms=600_000)
    plainly(gateway.reload(redis_linger_ms=0))
    gateway.subscribe(name).close()
    until(lambda: shared_redis.numsub(name) == 0, 5, "the subscription to end at once")


NEEDS_RESTART = {
    "listen": {"listen": ["127.0.0.1:0", "127.0.0.2:0"]}, "base_path": {"base_path": "/live"},
    "workers": {"workers": 3}, "limits.connections": {"limits": {"connections": 5}},
    "limits.per_address": {"limits": {"per_address": 5}}, "channel_prefix": {"channel_prefix": "p:"},
    "replay_bytes": {"replay_bytes": 1 << 20},
    "invalidation.tracking.prefixes": {"invalidation": {"tracking": {"prefixes": ["product:"]}}},
    "redis": {"redis": "redis://someone:hidden-w0rd@127.0.0.1:1/0"},
}


@pytest.mark.parametrize("setting", NEEDS_RESTART)
def test_what_needs_a_restart_is_named_and_stays_as_it_was_while_the_rest_is_taken(alone, setting):
    gateway = alone()
    line = gateway.reload(**{**NEEDS_RESTART[setting], "cors": {"origins": ["https://a.example"]}})
    assert line.endswith(f"need a restart and stay as they were: {setting}"), line
    assert "hidden-w0rd" not in gateway.log()
    on_every_worker(gateway, lambda: gateway.get("/healthz", [("Origin", "https://a.example")]).header(
        "access-control-allow-origin"))
    assert gateway.metric("sluice_connections") == 1


def test_several_that_need_a_restart_are_named_in_one_line_at_each_reload_until_it_comes(alone):
    gateway = alone()
    for _ in range(2):
        line = gateway.reload(workers=3, base_path="/live")
        assert line.endswith("stay as they were: base_path, workers"), line
    plainly(gateway.reload(workers=2, base_path=""))


def test_open_does_not_change_before_a_restart(start_gateway):
    """It may be true on loopback only, and where the gateway listens does not change either."""
    keys = [key("only", "publish:*", "stats")]
    shut = start_gateway(open=False, keys=keys)
    assert "open" in shut.reload(open=True, keys=[*keys, key("late", "publish:*")])
    on_every_worker(shut, lambda: shut.post("/publish/a", "x", bearer("late")).status == 200)
    assert shut.post("/publish/a", "x").status == 401
    opened = start_gateway(keys=keys)
    assert "open" in opened.reload(open=False)
    on_every_worker(opened, lambda: opened.post("/publish/a", "x").status == 200)


def test_another_broker_in_the_file_is_named_at_each_reload_and_hurts_nothing(
        shared_redis, alone, name):
    memory_broker = alone()
    redis_broker = alone(shared_redis)
    for _ in range(3):
        line = memory_broker.reload(broker="redis", redis=f"redis://127.0.0.1:{free_port()}")
        assert "stay as they were: broker, redis" in line
        assert "broker" in redis_broker.reload(broker="memory")
    stream = redis_broker.subscribe(name)
    shared_redis.publish(name, "x")
    assert stream.data(1) == ["x"]


def test_tls_that_comes_or_goes_needs_a_restart(alone, tmp_path):
    pair = Pair(str(tmp_path), "late")
    gateway = alone()
    assert gateway.reload(tls=pair.settings).endswith("stay as they were: tls")
    assert gateway.get("/healthz").status == 200


INVALID = [
    ('{"listen": ["127.0.0.1:0"], "broker": tru}', "sluice.json"), ("", "sluice.json"),
    ('{"colour": "red"}', "colour"), ('{"limits": {"channels": 0}}', "limits.channels"),
    ('{"namespaces": [{"match": "a", "payload": "xml"}]}', "namespaces[0].payload"),
    ('{"keys": [{"name": "a", "sha256": "zz", "scopes": ["stats"]}]}', "keys[0].sha256"),
    ('{"open": true, "listen": ["0.0.0.0:80"]}', "open"),
    ('{"redis": "redis-sentinel://127.0.0.1"}', "redis"),
    ('{"tls": {"cert": "/nowhere.crt", "key": "/nowhere.key"}}', "/nowhere.crt"),
]


@pytest.mark.parametrize("text, why", INVALID, ids=[w for _, w in INVALID])
def test_an_invalid_file_changes_nothing_and_says_why(alone, text, why):
    gateway = alone(limits={"channels": 3})
    line = gateway.reload(text=text.replace("{", '{"drain_seconds": 9, "stream": {"retry_ms": 77}, ', 1))
    assert "nothing is reloaded" in line and why in line, line
    assert gateway.get("/events?channel=a&channel=b&channel=c&channel=d").status == 400
    assert gateway.get("/events?channel=a&channel=b&channel=c&wrap=9").error().startswith("wrap")
    plainly(gateway.reload())


def test_a_file_that_is_gone_changes_nothing_and_says_why(alone):
    gateway = alone()
    os.unlink(gateway.config_path)
    gateway.child.send_signal(signal.SIGHUP)
    assert "sluice.json" in gateway.wait_log("nothing is reloaded")[0]


@pytest.mark.threads
def test_many_reloads_in_a_row_under_load_lose_no_message_and_no_memory(shared_redis, alone, name):
    gateway = alone(shared_redis)
    streams = [gateway.subscribe(name, pattern=name[:-1] + "*") for _ in range(10)]
    pid, opened = gateway.child.pid, descriptors(gateway.child.pid)
    keys = [key(f"k{n}", "publish:*") for n in range(200)]
    sent = 0
    grown = []
    for n in range(30):
        gateway.config["keys"] = keys[:n * 7] + [key("witness", "publish:*", "stats")]
        gateway.reload(limits={"channels": 100 + n}, namespaces=[{"match": f"n{n}.*"}])
        for _ in range(20):
            shared_redis.publish(name, sent)
            sent += 1
        grown.append(memory(pid))
    for stream in streams:
        assert stream.data(sent) == [str(n) for n in range(sent)]
    assert descriptors(pid) == opened
    assert grown[-1] - grown[9] < 16 << 20


def test_signals_that_come_faster_than_reloads_end_with_the_last_file(alone):
    gateway = alone()
    for n in range(1, 40):
        gateway.config["limits"] = {"channels": n}
        gateway.write_config(json.dumps(gateway.config))
        gateway.child.send_signal(signal.SIGHUP)
    refused = gateway.config["limits"]["channels"]
    target = "/events?" + "&".join(f"channel=c{n}" for n in range(refused + 1))
    on_every_worker(gateway, lambda: gateway.get(target + "&wrap=9").error().endswith("one stream") and
                    "limit of 39 " in gateway.get(target + "&wrap=9").error())
