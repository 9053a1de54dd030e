"""The invalidation feed: what a peer is told, from where, and what it is told when that is in doubt."""

import json
import threading
import time

import pytest

from harness import http, http2
from harness.peer import Peer, invalidate, settle
from harness.process import until
from harness.sse import Closed, Event, Parser, Retry


@pytest.fixture
def gateways(redis, start_gateway):
    return start_gateway(redis), start_gateway(redis)


@pytest.fixture
def gateway(redis, start_gateway):
    return start_gateway(redis)


def ok(answer):
    assert answer.status == 200, answer
    return answer.json()


def test_a_new_peer_is_told_to_begin_empty_and_then_every_invalidation(gateway):
    peer = Peer(gateway, "app-1").begin()
    ident = ok(invalidate(gateway, keys=["k"], tags=["t"], paths=["/p"], patterns=["x*"]))["id"]
    event = peer.next()
    assert (event.event, event.id) == ("invalidate", ident)
    assert event.json() == {"keys": ["k"], "tags": ["t"], "paths": ["/p"], "patterns": ["x*"],
                            "origin": "", "cause": "api"}


def test_a_feed_has_the_headers_of_a_stream_and_a_retry(gateway):
    peer = Peer(gateway, "app-1").begin()
    assert {name: peer.stream.response.header(name) for name in
            ("content-type", "cache-control", "x-accel-buffering", "connection")} == {
        "content-type": "text/event-stream", "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no", "connection": "close"}
    assert isinstance(peer.stream.seen[0], Retry)


def test_the_backend_that_calls_the_function_reaches_peers_too(gateway, redis):
    peer = Peer(gateway, "app-1").begin()
    answer = redis.cli("FCALL", "sluice_invalidate", 1, "sluice:", '{"keys":["k"]}')
    event = peer.next()
    assert event.id == json.loads(answer)["id"] and event.json()["keys"] == ["k"]


def test_a_peers_own_invalidations_are_left_out_unless_it_asks_for_them(gateway):
    peer, other = Peer(gateway, "app-1").begin(), Peer(gateway, "app-2").begin()
    echo = Peer(gateway, "app-3", echo=True).begin()
    ok(invalidate(gateway, keys=["mine"], origin="app-1"))
    ok(invalidate(gateway, keys=["echoed"], origin="app-3"))
    ok(invalidate(gateway, keys=["last"]))
    keys = {p.name: [] for p in (peer, other, echo)}
    for p in (peer, other, echo):
        while "last" not in keys[p.name]:
            keys[p.name] += p.next().json()["keys"]
    assert keys == {"app-1": ["echoed", "last"], "app-2": ["mine", "echoed", "last"],
                    "app-3": ["mine", "echoed", "last"]}


def test_a_peer_resumes_on_the_other_gateway_with_all_that_it_missed_but_its_own(gateways):
    one, two = gateways
    peer = Peer(one, "app-1").begin()
    ok(invalidate(one, keys=["0"]))
    assert peer.next().json()["keys"] == ["0"]
    peer.close()
    for n in range(1, 30):
        ok(invalidate(one, keys=[str(n)], origin="app-1" if n % 3 == 0 else "app-2"))
    again = Peer(two, "app-1", peer.last_id).begin(resumed=True)
    got = [again.next().json()["keys"][0] for n in range(1, 30) if n % 3]
    assert got == [str(n) for n in range(1, 30) if n % 3]
    ok(invalidate(one, keys=["live"]))
    assert again.next().json()["keys"] == ["live"]


@pytest.mark.parametrize("last_id", ["nonsense", "", "12-"])
def test_an_id_that_is_none_of_ours_begins_empty(gateway, last_id):
    Peer(gateway, "app-1", last_id).begin()


def test_the_last_id_may_stand_in_the_query(gateway):
    peer = Peer(gateway, "app-1").begin()
    peer.close()
    ok(invalidate(gateway, keys=["k"]))
    stream = gateway.stream(f"/invalidations?peer=app-1&lastEventId={peer.last_id}")
    assert json.loads(stream.control("hello").data)["resumed"] is True
    assert stream.control("invalidate").json()["keys"] == ["k"]


def test_heads_come_every_five_seconds_and_can_be_confirmed(gateway):
    peer = Peer(gateway, "app-1").begin()
    heads, begun = [], time.monotonic()
    for _ in range(2):
        event = peer.event(8)
        assert event.event == "head" and event.json() == {"id": event.id}
        heads.append(event.id)
        assert peer.ack().status == 200
    assert 7 < time.monotonic() - begun < 14 and heads[0] != heads[1]


def test_a_resume_after_redis_was_emptied_becomes_flush(gateway, redis):
    peer = Peer(gateway, "app-1").begin()
    ok(invalidate(gateway, keys=["k"]))
    peer.next()
    peer.close()
    redis.cli("FLUSHALL")
    ok(invalidate(gateway, keys=["after"]))
    again = Peer(gateway, "app-1", peer.last_id).begin(resumed=True)
    event = again.next()
    assert event.event == "flush" and event.id and event.json()["reason"]


def test_a_redis_that_came_back_empty_is_a_flush_for_open_feeds(gateway, redis):
    peer = Peer(gateway, "app-1").begin()
    ok(invalidate(gateway, keys=["k"]))
    assert peer.next().event == "invalidate"
    redis.kill()
    assert until(lambda: invalidate(gateway, keys=["x"]).status == 503, 5, "503")
    redis.start()
    event = peer.next(15)
    assert event.event == "flush" and event.id and event.json() == {"reason": "redis"}
    until(lambda: invalidate(gateway, keys=["after"]).status == 200, 10, "200 again")
    event = peer.next()
    while event.event == "flush":
        event = peer.next()
    assert event.json()["keys"] == ["after"]
    assert peer.ack().status == 200, "its session is announced again"


def test_a_redis_that_was_emptied_is_a_flush_for_open_feeds_whose_sessions_go_on(gateways, redis):
    peers = [Peer(g, name).begin() for g, name in zip(gateways, ("app-1", "app-2"))]
    ok(invalidate(gateways[0], keys=["k"]))
    for peer in peers:
        assert peer.next().event == "invalidate" and peer.ack().status == 200
    redis.cli("FLUSHALL")
    for peer in peers:
        event = peer.next(15)
        assert (event.event, event.json()) == ("flush", {"reason": "redis"})

    def listed():
        return {p["name"] for p in gateways[0].get("/api/peers").json()["peers"]} == {"app-1", "app-2"}
    until(listed, 10, "the peers to be known again")
    settle(gateways[0], redis)
    answer = invalidate(gateways[0], "?wait=all&timeout_ms=300", keys=["after"])
    assert answer.status == 202 and sorted(answer.json()["pending"]) == ["app-1", "app-2"]
    for peer in peers:
        while peer.next().json().get("keys") != ["after"]:
            pass
        assert peer.ack().status == 200
    assert invalidate(gateways[1], "?wait=all", keys=["x"], origin="app-1").json()["pending"] == ["app-2"]


@pytest.mark.parametrize("cut", ["subscriber", "connections", "restart"])
def test_a_redis_that_lost_nothing_is_no_flush(start_redis, start_gateway, cut):
    redis = start_redis(appendonly="yes", appendfsync="always")
    gateway = start_gateway(redis)
    peer = Peer(gateway, "app-1").begin()
    begin = ok(invalidate(gateway, keys=["first"]))["id"]
    call = ("FCALL", "sluice_invalidate", 1, "sluice:", '{"keys":["unheard"]}')
    if cut == "restart":
        redis.restart()
        redis.cli(*call)
    else:
        redis.pipeline([("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")] * (cut == "connections") +
                       [("CLIENT", "KILL", "TYPE", "pubsub"), call])
    assert peer.next().id == begin
    event = peer.next(15)
    assert (event.event, event.json().get("keys")) == ("invalidate", ["unheard"])
    until(lambda: peer.ack().status == 200, 10, "its session to go on")


def test_a_feed_that_opens_while_redis_is_away_begins_when_it_is_back(gateway, redis):
    redis.kill()
    gateway.wait_log("lost|away|refused|closed", 5)
    peer = Peer(gateway, "app-1")
    peer.stream.comment("waiting for redis")
    redis.start()
    until(lambda: peer.event(15), 15, "hello")
    assert peer.hello["resumed"] is False
    assert peer.event().event == "flush"


def ended(peer):
    with pytest.raises(Closed):
        while True:
            peer.event()
    return True


@pytest.mark.parametrize("other", [0, 1])
def test_a_second_feed_of_one_peer_ends_the_first_also_on_another_gateway(gateways, other):
    first = Peer(gateways[0], "app-1").begin()
    second = Peer(gateways[other], "app-1").begin()
    assert ended(first)
    assert first.ack().status == 409
    ok(invalidate(gateways[0], keys=["k"]))
    assert second.next().json()["keys"] == ["k"]
    assert second.ack().status == 200


def test_a_peer_that_closes_is_waited_for_no_longer(gateway, redis):
    settle(gateway, redis)
    peer = Peer(gateway, "app-1").begin()
    assert ok(invalidate(gateway, "?wait=all&timeout_ms=1000", keys=["a"], origin="app-1"))["acked"] == []
    assert peer.ack(peer=peer.name, close=True).status == 200
    assert ok(invalidate(gateway, "?wait=all&timeout_ms=1000", keys=["a"]))["pending"] == []
    assert ended(peer)


def test_what_was_not_delivered_cannot_be_confirmed(gateway):
    peer = Peer(gateway, "app-1").begin()
    ms, _, us = peer.last_id.partition("-")
    answer = peer.ack(f"{int(ms) + 3_600_000}-{us}")
    assert answer.status == 409 and answer.error().startswith("id: ")
    # Later than any id can be: by its form a year 5000, and more digits than any number has.
    for late in ("95617584000000-0", "99999999999999999999-0"):
        answer = peer.ack(late)
        assert answer.status == 409 and answer.error().startswith("id: "), answer.body
    assert peer.ack().status == 200


def test_what_was_announced_but_not_delivered_cannot_be_confirmed(redis, start_gateway):
    gateway = start_gateway(redis, workers=1)
    peer = Peer(gateway, "app-1").begin()
    ident = ok(invalidate(gateway, keys=["mine"], origin="app-1"))["id"]
    answer = peer.ack(ident)
    assert answer.status == 409 and answer.error().startswith("id: ")


def test_a_drained_gateway_sends_its_peers_away_and_the_next_one_takes_them_up(gateways):
    one, two = gateways
    peer = Peer(one, "app-1").begin()
    one.child.terminate()
    assert ended(peer)
    ok(invalidate(two, keys=["meanwhile"]))
    again = Peer(two, "app-1", peer.last_id).begin(resumed=True)
    assert again.next().json()["keys"] == ["meanwhile"]


def test_a_drained_feed_is_told_when_to_come_back_and_has_all_until_its_end(redis, start_gateway):
    gateway, other = start_gateway(redis, drain_seconds=2), start_gateway(redis)
    late = http.connect(gateway.address)
    asked = http.request_bytes(gateway.address, "GET", "/invalidations?peer=late")
    late.sendall(asked[:20])
    peers = [Peer(gateway, f"app-{n}").begin() for n in range(8)]
    posts = [http.connect(gateway.address) for _ in range(8)]  # half a request each
    for sock in posts:
        data = http.request_bytes(gateway.address, "POST", "/invalidate", body=b'{"keys":["in flight"]}')
        sock.sendall(data[:-5])
    gateway.wait_metric("sluice_sockets", 18)
    gateway.streams = []
    gateway.child.terminate()
    gateway.wait_log("draining for 2 s")
    sent = []
    for sock in posts:
        sock.sendall(data[-5:])
        with sock, sock.makefile("rb") as file:
            sent.append(ok(http.read_response(file, "POST"))["id"])
    late.sendall(asked[20:])
    with late, late.makefile("rb") as file:
        assert http.read_head(file).status == 200
        assert Parser().feed(file.read())[-1].event == "sluice.busy"
    for peer in peers:
        items = peer.stream.rest(8)
        assert isinstance(items[-1], Retry)
        got = [i.id for i in items if isinstance(i, Event) and i.event == "invalidate"]
        assert got == sent[:len(got)]
        again = Peer(other, peer.name, got[-1] if got else peer.last_id).begin(resumed=True)
        assert [again.next().id for _ in range(8 - len(got))] == sent[len(got):]
    gateway.stop()


def test_a_feed_beyond_the_limit_of_connections_is_told_busy_as_a_stream_is(redis, start_gateway):
    gateway = start_gateway(redis, limits={"connections": 1})
    kept = Peer(gateway, "app-1").begin()
    items = gateway.stream("/invalidations?peer=app-2").rest()
    assert isinstance(items[0], Retry) and items[-1].event == "sluice.busy"
    assert kept.ack().status == 200, "a peer can always confirm"
    assert gateway.post("/invalidate", b'{"keys":["a"]}').status == 503


@pytest.mark.threads
def test_many_peers_come_and_go_while_invalidations_pass_and_each_misses_nothing(gateways):
    stop, sent = threading.Event(), []

    def announce():
        while not stop.is_set() and len(sent) < 2000:
            n = len(sent)
            ok(invalidate(gateways[n % 2], keys=[str(n)], origin=f"app-{n % 8}"))
            sent.append(n)

    thread = threading.Thread(target=announce)
    got = {i: [] for i in range(8)}
    last = {i: Peer(gateways[0], f"app-{i}").begin().last_id for i in got}
    thread.start()
    for turn in range(6):
        for i in got:
            peer = Peer(gateways[(turn + i) % 2], f"app-{i}", last[i]).begin(resumed=True)
            for _ in range(10):
                got[i].append(int(peer.next().json()["keys"][0]))
            assert peer.ack().status == 200
            last[i] = peer.last_id
            peer.close()
    stop.set()
    thread.join()
    for i, numbers in got.items():
        assert numbers == [n for n in range(numbers[-1] + 1) if n % 8 != i]


def test_over_http2_a_feed_is_the_same(gateway):
    with http2.Client(gateway.address) as client:
        feed = client.request("GET", "/invalidations?peer=app-1")
        assert ["event: hello", "event: flush"] == [b.split("\n")[1] for b in feed.blocks(2)]
        ident = ok(invalidate(gateway, keys=["k"]))["id"]
        assert feed.blocks(1)[0].startswith(f"id: {ident}\nevent: invalidate\ndata: ")


def test_a_slow_peer_gets_everything_later(redis, start_gateway):
    gateway = start_gateway(redis, limits={"queue_bytes": 65536})
    peer = Peer(gateway, "app-1").begin()
    names = [f"key-{'x' * 900}-{n}" for n in range(3000)]
    for n in range(0, 3000, 10):
        ok(invalidate(gateway, keys=names[n:n + 10]))
    got = []
    while len(got) < 3000:
        event = peer.next()
        assert event.event == "invalidate", event
        got += event.json()["keys"]
    assert got == names


@pytest.mark.parametrize("query, wrong", [
    ("", "peer: must be given"),
    ("?peer=", "peer: "),
    ("?peer=a%20b", "peer: "),
    (f"?peer={'x' * 65}", "peer: "),
    ("?peer=a&echo=yes", "echo: expected 0 or 1"),
])
def test_a_feed_with_wrong_parameters_is_told_so(gateway, query, wrong):
    answer = gateway.get("/invalidations" + query)
    assert answer.status == 400 and answer.error().startswith(wrong)


def test_the_feed_cannot_be_read_or_published_to_as_a_channel(gateway):
    assert gateway.get("/events?channel=sluice.invalidations").status == 403
    assert gateway.post("/publish/sluice.invalidations", "x").status == 403
    stream = gateway.subscribe("plain", pattern="*")
    ok(invalidate(gateway, keys=["k"]))
    gateway.post("/publish/plain", "after")
    assert stream.message().data == "after"
