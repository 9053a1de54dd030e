"""
Whoever could publish could also forge what only the gateway knows: an event sluice.gap sends every
client for a fresh copy, sluice.busy tells `sluice tail` that it is being closed.
"""

import pytest

from harness.sse import Event

NAMES = ["sluice.gap", "sluice.head", "sluice.busy", "sluice.expired", "sluice.ping", "sluice.", "sluice.x"]


@pytest.mark.parametrize("name", NAMES)
def test_a_control_event_cannot_be_published_over_http(gateway, name):
    stream = gateway.subscribe("env.forged")
    for answer in (gateway.post("/publish/env.forged?event=" + name, "{}"),
                   gateway.post("/publish", {"channel": "env.forged", "event": name, "data": {}})):
        assert answer.status == 400
        assert "sluice." in answer.error()
    assert gateway.post("/publish/env.forged?event=sluice", "mine").status == 200
    assert stream.message() == Event("sluice", "mine")
    assert not [item for item in stream.seen if getattr(item, "event", "").startswith("sluice.")]


@pytest.mark.parametrize("name", NAMES)
def test_an_envelope_from_redis_with_the_name_of_a_control_event_goes_out_raw(gateway, shared_redis, name):
    stream = gateway.subscribe("env.forged")
    forged = '{"event":"%s","data":"{}"}' % name
    shared_redis.publish("env.forged", forged)
    shared_redis.publish("env.forged", '{"event":"SLUICE.gap","data":"mine"}')
    assert [stream.message(), stream.message()] == [Event("message", forged), Event("SLUICE.gap", "mine")]
    assert not [item for item in stream.seen if getattr(item, "event", "").startswith("sluice.")]
