"""Logs: one line an event, no secret, nothing per message."""

import hashlib
import json

KEY = "a-very-s3cret-key"


def test_the_json_form_is_one_object_a_line(redis, start_gateway):
    gateway = start_gateway(redis, log={"format": "json"})
    gateway.subscribe("json")
    redis.kill()
    gateway.wait_log("redis unavailable")
    gateway.stop()
    lines = gateway.log().splitlines()
    assert len(lines) > 3
    for line in lines:
        entry = json.loads(line)
        assert isinstance(entry, dict) and entry
        assert entry["level"] in ("error", "warn", "info", "debug")


def test_the_text_form_is_one_line_an_event(redis, start_gateway):
    gateway = start_gateway(redis)
    gateway.wait_log(r"listening on 127\.0\.0\.1:\d+")
    assert all(line.strip() for line in gateway.log().splitlines())


def test_nothing_is_logged_a_message_or_a_request_at_the_default_level(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis)
    stream = gateway.subscribe("quiet")
    gateway.get("/healthz")
    before = len(gateway.log().splitlines())
    for n in range(300):
        shared_redis.publish("quiet", n)
        gateway.post("/publish/quiet", str(n))
    stream.data(600)
    assert len(gateway.log().splitlines()) - before <= 2


def test_no_key_password_or_payload_is_ever_logged_not_even_at_debug(start_redis, start_gateway):
    redis = start_redis(requirepass="redis-passw0rd")
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    gateway = start_gateway(
        f"redis://:redis-passw0rd@127.0.0.1:{redis.port}", open=False, log={"level": "debug"},
        keys=[{"name": "backend", "sha256": digest, "scopes": ["publish:*"]}])
    stream = gateway.subscribe("secret")
    headers = {"Authorization": "Bearer " + KEY}
    assert gateway.post("/publish/secret", "the-payload-itself", headers).status == 200
    gateway.post("/publish/secret", "x", {"Authorization": "Bearer wrong-but-s3cret"})
    stream.message()
    redis.kill()
    gateway.wait_log("redis unavailable")
    for secret in (KEY, "redis-passw0rd", "wrong-but-s3cret", "the-payload-itself", digest):
        assert secret not in gateway.log(), secret


def test_whom_something_was_refused_is_logged_by_the_name_of_the_key_at_debug(start_gateway):
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    gateway = start_gateway(
        open=False, log={"level": "debug"},
        keys=[{"name": "backend", "sha256": digest, "scopes": ["publish:orders.*"]}])
    assert gateway.post("/publish/shop", "x", {"Authorization": "Bearer " + KEY}).status == 403
    gateway.wait_log("refused to backend: ")
    assert gateway.post("/publish/shop", "x").status == 401
    gateway.wait_log("refused to anonymous: ")


def test_a_name_in_a_request_cannot_forge_a_log_line(start_gateway):
    gateway = start_gateway(log={"level": "debug"})
    gateway.get("/events?channel=a%0Aredis%20ready")
    gateway.post("/publish/a%0Aredis%20ready", "x")
    gateway.get("/x%0Aredis%20ready", {"User-Agent": "a\x1b[31mb"})
    assert not gateway.lines(r"^redis ready")
    assert "\x1b" not in gateway.log()


def test_the_level_error_is_silent_when_all_is_well(start_gateway, tmp_path):
    gateway = start_gateway(log={"level": "error"}, listen=[f"unix:{tmp_path}/s"])
    gateway.post("/publish/a", "x")
    gateway.stop()
    assert gateway.log() == ""
