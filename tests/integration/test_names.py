"""Names of channels and patterns: what is refused, and what is never delivered."""

from urllib.parse import quote

import pytest

BAD_CHANNELS = {
    "glob star": "a*b", "glob question mark": "a?b", "glob class": "a[b", "glob class end": "a]b",
    "brace": "a{b", "brace end": "a}b", "backslash": "a\\b",
    "line feed": "a\nb", "carriage return": "a\rb", "tab": "a\tb", "delete": "a\x7fb",
    "nul": "a\0b", "C1 control": "a\u0085b", "empty": "", "too long": "x" * 201,
    "too long in bytes": "é" * 101,
}
RESERVED = ["sluice:x", "sluice.gap", "__redis__:invalidate", "__keyspace@0__:k", "sluice:", "__"]


@pytest.mark.parametrize("name", BAD_CHANNELS.values(), ids=BAD_CHANNELS.keys())
def test_a_bad_channel_name_is_refused_with_a_clear_error(gateway, name):
    response = gateway.get("/events?channel=" + quote(name, safe=""))
    assert response.status == 400
    assert "channel" in response.error()


@pytest.mark.parametrize("name", [n for k, n in BAD_CHANNELS.items() if k != "empty"],
                         ids=[k for k in BAD_CHANNELS if k != "empty"])
def test_a_bad_channel_name_cannot_be_published_to(gateway, name):
    response = gateway.post("/publish/" + quote(name, safe=""), "x")
    assert response.status == 400
    assert "channel" in response.error()
    assert gateway.post("/publish", {"channel": name, "data": "x"}).status == 400


def test_a_name_that_is_not_utf_8_is_refused(gateway):
    for target in ("/events?channel=%ff%fe", "/events?pattern=%c3%28", "/events?channel=%ed%a0%80"):
        response = gateway.get(target)
        assert response.status == 400, target
        response.error()
    assert gateway.post("/publish/%ff", "x").status == 400


@pytest.mark.parametrize("pattern", ["", "a{b}", "a\nb", "x" * 201])
def test_a_bad_pattern_is_refused(gateway, pattern):
    response = gateway.get("/events?pattern=" + quote(pattern, safe=""))
    assert response.status == 400
    assert "pattern" in response.error()


@pytest.mark.parametrize("name", RESERVED)
def test_reserved_names_are_refused_for_reading_and_publishing(gateway, name):
    for response in (gateway.get("/events?channel=" + quote(name)),
                     gateway.post("/publish/" + quote(name), "x"),
                     gateway.post("/publish", {"channel": name, "data": "x"}),
                     gateway.post("/publish", {"channel": ["fine", name], "data": "x"})):
        assert response.status in (400, 403)
        response.error()


def test_reserved_names_are_never_delivered_through_a_pattern(gateway, shared_redis):
    stream = gateway.subscribe(pattern=["*", "s*", "sluice?*", "_*"], wrap="1")
    for name in RESERVED:
        shared_redis.publish(name, "secret")
    shared_redis.publish("plain", "end")
    assert stream.message().json()["data"] == "end"


def test_names_outside_the_rules_are_never_delivered_through_a_pattern(gateway, shared_redis):
    """They could not be asked for by name, and a control character must not reach a client."""
    stream = gateway.subscribe(pattern="odd*", wrap="1")
    for name in (b"odd\nname", b"odd\xff", b"odd*", b"odd\x00"):
        shared_redis.publish(name, "odd")
    shared_redis.publish("odd.end", "end")
    assert stream.message().json() == {"channel": "odd.end", "event": None, "data": "end", "id": None}


@pytest.mark.parametrize("name", ["x" * 200, "a.b:c/d-e_f", "sluicegate", "_private", "ünïcödé",
                                  "日本語", "a b", "%", "slu", "😀"])
def test_every_name_within_the_rules_works(gateway, shared_redis, name):
    stream = gateway.stream("/events?channel=" + quote(name, safe="")).subscribed()
    assert gateway.post("/publish/" + quote(name, safe=""), "by path").status == 200
    shared_redis.publish(name, "by redis")
    assert stream.data(2) == ["by path", "by redis"]
