"""POST /invalidate, acknowledgements and the list of peers: keys go, and the caller knows who knows."""

import hashlib
import json
import time

import pytest

from harness.peer import Peer, invalidate, settle
from harness.process import until


@pytest.fixture
def gateway(redis, start_gateway):
    return start_gateway(redis)


@pytest.fixture
def gateways(redis, start_gateway):
    return start_gateway(redis), start_gateway(redis)


def test_keys_tags_paths_and_patterns_are_deleted_and_counted(gateway, redis):
    redis.pipeline([("SET", k, "v") for k in ("a", "b", "p:1", "p:2", "in:1", "in:2", "page", "stays")])
    redis.cli("SADD", "tag:products", "p:1", "p:2")
    redis.cli("SADD", "tag:_N_T_/blog/1", "page")
    answer = invalidate(gateway, keys=["a", "b", "gone"], tags=["products"], paths=["/blog/1"],
                        patterns=["in:*"]).json()
    assert set(answer) == {"id", "deleted", "tags"}
    assert answer["tags"]["products"] == 2
    assert redis.cli("EXISTS", "a", "b", "p:1", "p:2", "in:1", "in:2", "page",
                     "tag:products", "tag:_N_T_/blog/1") == 0
    assert redis.cli("EXISTS", "stays") == 1
    assert answer["deleted"] >= 7


def test_a_tag_of_twenty_thousand_keys_is_removed_and_announced_last(gateway, redis):
    peer = Peer(gateway, "app-1").begin()
    for start in range(0, 20000, 5000):
        names = [f"big:{n}" for n in range(start, start + 5000)]
        redis.pipeline([("MSET", *[w for n in names for w in (n, "v")]), ("SADD", "tag:big", *names)])
    answer = invalidate(gateway, tags=["big"]).json()
    assert answer["tags"]["big"] == 20000 and answer["deleted"] >= 20000
    assert redis.cli("KEYS", "big:*") == []
    event = peer.next()
    while "big" not in event.json()["tags"]:
        event = peer.next()
    assert event.id == answer["id"]


def test_the_same_idempotency_key_invalidates_once(gateway):
    peer = Peer(gateway, "app-1").begin()
    first = invalidate(gateway, headers={"Idempotency-Key": "abc"}, keys=["a"]).json()
    assert invalidate(gateway, headers={"Idempotency-Key": "abc"}, keys=["a"]).json()["id"] == first["id"]
    last = invalidate(gateway, keys=["b"]).json()["id"]
    assert [peer.next().id for _ in range(2)] == [first["id"], last]


def test_with_wait_the_answer_comes_when_peers_of_both_gateways_have_confirmed(gateways, redis):
    settle(gateways[0], redis)
    peers = [Peer(gateways[n % 2], f"app-{n}").follow() for n in range(6)]
    peers[1].via = gateways[0].address  # its word comes by the other gateway
    for n in range(20):
        answer = invalidate(gateways[n % 2], "?wait=all&timeout_ms=5000", keys=[f"k{n}"])
        assert answer.status == 200 and answer.json()["pending"] == []
        assert sorted(answer.json()["acked"]) == [f"app-{i}" for i in range(6)]
        for peer in peers:
            assert any(e.event == "invalidate" and e.json()["keys"] == [f"k{n}"] for e in peer.got)
    for peer in peers:
        peer.close()


def test_nobody_waits_for_who_invalidates(gateway, redis):
    settle(gateway, redis)
    Peer(gateway, "app-1").begin()
    answer = invalidate(gateway, "?wait=all", keys=["k"], origin="app-1")
    assert answer.status == 200 and answer.json()["acked"] == answer.json()["pending"] == []


def test_a_peer_that_counts_its_own_at_the_frontier_is_no_laggard(gateway):
    peer = Peer(gateway, "app-1").begin()
    assert peer.ack().status == 200
    invalidate(gateway, keys=["mine"], origin="app-1")
    invalidate(gateway, keys=["theirs"])
    peer.next()
    assert peer.ack().status == 200
    answer = gateway.get("/api/peers").json()
    assert answer["peers"][0]["lag"]["ids"] == 0


@pytest.mark.deadline(60)
def test_a_frozen_peer_is_pending_until_its_lease_has_lapsed_and_then_not_waited_for(gateway, redis):
    settle(gateway, redis)
    frozen, well = Peer(gateway, "frozen").follow(), Peer(gateway, "well").follow()
    frozen.freeze()
    begun = time.monotonic()
    answer = invalidate(gateway, "?wait=all&timeout_ms=500", keys=["k"])
    assert answer.status == 202 and answer.json()["pending"] == ["frozen"]
    assert answer.json()["acked"] == ["well"]
    assert time.monotonic() - begun < 3
    answer = gateway.post("/invalidate?wait=all&timeout_ms=25000", json.dumps({"keys": ["k"]}), timeout=30)
    assert answer.status == 200 and answer.json()["pending"] == [] and answer.json()["acked"] == ["well"]
    assert time.monotonic() - begun < 18
    listed = {p["name"]: p for p in gateway.get("/api/peers").json()["peers"]}
    assert listed["frozen"]["lease_ms"] == 0 and listed["frozen"]["lag"]["ids"] > 0
    assert listed["frozen"]["lag"]["seconds"] > 10
    well.close()


def test_a_redis_that_may_have_forgotten_peers_is_no_proof_that_all_have_confirmed(gateway):
    peer = Peer(gateway, "app-1").follow()
    answer = invalidate(gateway, "?wait=all&timeout_ms=500", keys=["k"])
    assert answer.status == 202 and answer.json()["acked"] == ["app-1"]
    assert answer.json()["pending"] == [] and 0 < answer.json()["settling"] <= 15000
    peer.close()


def test_without_peers_wait_answers_at_once(gateway, redis):
    settle(gateway, redis)
    begun = time.monotonic()
    answer = invalidate(gateway, "?wait=all&timeout_ms=5000", keys=["k"])
    assert answer.status == 200 and answer.json()["acked"] == [] and time.monotonic() - begun < 2


def test_the_list_of_peers_says_who_is_where_and_how_far(gateways):
    peers = [Peer(g, name).begin() for g, name in zip(gateways, ("app-1", "app-2"))]
    ident = invalidate(gateways[0], keys=["k"]).json()["id"]
    for peer in peers:
        peer.next()
    assert peers[0].ack().status == 200
    answer = gateways[1].get("/api/peers").json()
    assert answer["id"] == ident
    listed = {p["name"]: p for p in answer["peers"]}
    assert set(listed) == {"app-1", "app-2"}
    assert listed["app-1"]["gateway"] != listed["app-2"]["gateway"]
    assert listed["app-1"]["acked"] == ident and listed["app-1"]["lag"] == {"ids": 0, "seconds": 0}
    assert listed["app-2"]["acked"] == "0-0" and listed["app-2"]["lag"]["ids"] > 0
    assert 0 < listed["app-1"]["lease_ms"] <= 15000
    assert all(p.session not in json.dumps(answer) for p in peers)


def test_before_any_confirmation_there_is_no_share_of_them(gateway):
    assert gateway.get("/api/stats").json()["invalidations"] == {
        "applied": 0, "within": {"10ms": None, "100ms": None, "1s": None, "10s": None}}


def test_how_soon_invalidations_were_applied_is_counted(gateway, redis):
    settle(gateway, redis)
    peer = Peer(gateway, "app-1").follow()
    for n in range(5):
        assert invalidate(gateway, "?wait=all&timeout_ms=5000", keys=[f"k{n}"]).status == 200
    metrics = gateway.metrics()
    assert metrics["sluice_invalidations_applied_total"] >= 4
    within = [v for k, v in metrics.items() if k.startswith("sluice_invalidations_applied_within_total")]
    assert within == sorted(within) and within[-1] == metrics["sluice_invalidations_applied_total"]
    nines = gateway.get("/api/stats").json()["invalidations"]
    assert nines["applied"] == metrics["sluice_invalidations_applied_total"]
    assert list(nines["within"]) == ["10ms", "100ms", "1s", "10s"] and nines["within"]["10s"] == 1
    assert all(0 <= share <= 1 for share in nines["within"].values())
    peer.close()


def test_while_redis_is_away_nothing_is_accepted_and_the_feed_stays_open(gateway, redis):
    peer = Peer(gateway, "app-1").begin()
    redis.stop()
    redis.kill()
    until(lambda: gateway.get("/readyz").json()["status"] == "degraded", 10, "degraded")
    answer = invalidate(gateway, keys=["k"])
    assert answer.status == 503 and answer.error() and answer.header("retry-after")
    assert peer.ack().status == 503
    assert gateway.get("/api/peers").status == 503
    assert peer.stream.is_open(0.5)


@pytest.mark.parametrize("body, status, wrong", [
    (b"", 400, "body"),
    (b"nothing", 400, "body is not JSON"),
    (b"[]", 400, "body"),
    (b"{}", 400, "body: names nothing"),
    (b'{"keys":[]}', 400, "body: names nothing"),
    (b'{"keys":"a"}', 400, "keys: expected an array of strings"),
    (b'{"tags":["a",1]}', 400, "tags[1]"),
    (b'{"keys":["a","b\\nc"]}', 400, "keys[1]: has a control character"),
    (b'{"keys":[""]}', 400, "keys[0]"),
    (b'{"colour":["a"]}', 400, "colour: unknown member"),
    (b'{"keys":["a"],"origin":"no spaces"}', 400, "origin"),
    (json.dumps({"keys": [str(n) for n in range(10001)]}).encode(), 413, ""),
])
def test_a_bad_body_is_refused_with_what_is_wrong_and_nothing_is_announced(gateway, redis, body, status, wrong):
    answer = gateway.post("/invalidate", body)
    assert answer.status == status and answer.error().startswith(wrong), answer
    assert redis.cli("EXISTS", "sluice:log:sluice.invalidations") == 0


def test_ten_thousand_names_are_taken(gateway):
    answer = invalidate(gateway, keys=[str(n) for n in range(10000)])
    assert answer.status == 200


@pytest.mark.parametrize("query, wrong", [
    ("?wait=some", 'wait: expected "all"'),
    ("?wait=all&timeout_ms=0", "timeout_ms: expected 1 to 30000"),
    ("?wait=all&timeout_ms=30001", "timeout_ms: "),
    ("?wait=all&timeout_ms=9999999999", "timeout_ms: "),
    ("?timeout_ms=x", "timeout_ms: "),
])
def test_bad_parameters_are_refused(gateway, query, wrong):
    answer = invalidate(gateway, query, keys=["a"])
    assert answer.status == 400 and answer.error().startswith(wrong)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"session":"x"}', b'{"session":"x","id":"y"}', b"[]"])
def test_bad_confirmations_are_refused(gateway, body):
    answer = gateway.post("/invalidations/ack", body)
    assert answer.status == 400 and answer.error()


def test_a_confirmation_of_a_session_that_never_was_is_409(gateway):
    answer = gateway.post("/invalidations/ack", json.dumps({"session": "x" * 32, "id": "1-0"}))
    assert answer.status == 409 and answer.error().startswith("session: ")


def test_each_endpoint_asks_for_its_own_scope(redis, start_gateway):
    scopes = {"i": "invalidate", "p": "peer", "s": "stats"}
    keys = [{"name": n, "sha256": hashlib.sha256(n.encode()).hexdigest(), "scopes": [s]}
            for n, s in scopes.items()]
    gateway = start_gateway(redis, open=False, keys=keys)
    asks = {"i": ("POST", "/invalidate", b'{"keys":["a"]}'),
            "p": ("POST", "/invalidations/ack", b'{"session":"x","id":"1-0"}'),
            "s": ("GET", "/api/peers", None)}
    for scope, (method, target, body) in asks.items():
        assert gateway.request(method, target, body=body).status == 401
        for key in scopes:
            answer = gateway.request(method, target, {"Authorization": f"Bearer {key}"}, body)
            assert (answer.status == 403) is (key != scope), (key, target, answer)
    assert gateway.get("/invalidations?peer=a").status == 401
    assert gateway.get("/invalidations?peer=a", {"Authorization": "Bearer i"}).status == 403
    Peer(gateway, "a", headers={"Authorization": "Bearer p"}).begin()


def test_the_memory_broker_has_no_bus_and_says_so(start_gateway):
    gateway = start_gateway()
    for answer in (invalidate(gateway, keys=["a"]), gateway.get("/invalidations?peer=a"),
                   gateway.get("/api/peers")):
        assert answer.status == 501 and "Redis" in answer.error()
