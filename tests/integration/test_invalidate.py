"""POST /invalidate, acknowledgements and the list of peers: keys go, and the caller knows who knows."""

import hashlib
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

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
    assert time.monotonic() - begun < 22, "its lease is 15 s, and 25 s is the bound of the wait"
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


@pytest.mark.parametrize("seconds", [1, 0])
def test_who_waits_when_the_gateway_ends_is_told_who_is_pending(redis, start_gateway, seconds):
    gateway = start_gateway(redis, drain_seconds=seconds)
    settle(gateway, redis)
    Peer(gateway, "silent").begin()
    well = Peer(gateway, "well").follow()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(invalidate, gateway, "?wait=all&timeout_ms=30000", keys=["k"])
        until(lambda: any(e.event == "invalidate" for e in well.got), 5, "the announcement to be read")
        acked = next(e.id for e in well.got if e.event == "invalidate")
        until(lambda: has_acked(gateway, "well", acked), 5, "the confirmation to be heard")
        gateway.child.send_signal(signal.SIGTERM)
        answer = waiting.result(10)
    assert answer.status == 202 and answer.json()["pending"] == ["silent"] and answer.json()["acked"] == ["well"]
    well.close()


def has_acked(gateway, name, ident):
    return {p["name"]: p["acked"] for p in gateway.get("/api/peers").json()["peers"]}[name] == ident


def test_without_peers_wait_answers_at_once(gateway, redis):
    settle(gateway, redis)
    begun = time.monotonic()
    answer = invalidate(gateway, "?wait=all&timeout_ms=5000", keys=["k"])
    assert answer.status == 200 and answer.json()["acked"] == [] and time.monotonic() - begun < 4


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


def test_the_histogram_has_each_confirmation_once(gateway, redis):
    peer = Peer(gateway, "app-1").begin()
    assert peer.ack().status == 200
    name = "sluice_invalidation_applied_seconds"
    for n in range(3):
        invalidate(gateway, keys=[f"k{n}"])
        peer.next()
        time.sleep(0.15)  # later than the bucket of 100 ms
        assert peer.ack().status == 200
    until(lambda: gateway.metric(name + "_count") == 3, 5, "3 confirmations")
    samples = gateway.metrics()
    assert f"# TYPE {name} histogram\n" in gateway.get("/metrics").body.decode()
    assert samples[name + '_bucket{le="0.1"}'] == 0 and samples[name + '_bucket{le="+Inf"}'] == 3
    assert 0.45 <= samples[name + "_sum"] < 30
    assert samples["sluice_invalidations_applied_total"] == 3


def test_by_scripts_the_bus_is_the_same(redis, start_gateway):
    redis.cli("ACL", "SETUSER", "default", "+@all", "-function", "-fcall")
    gateways = [start_gateway(redis) for _ in range(2)]
    settle(gateways[0], redis)
    peers = [Peer(g, f"app-{n}").follow() for n, g in enumerate(gateways)]
    names = [f"big:{n}" for n in range(6000)]
    redis.pipeline([("MSET", *[w for n in names for w in (n, "v")]), ("SADD", "tag:big", *names),
                    ("SET", "a", "v"), ("SET", "in:1", "v")])
    bodies = [{"keys": ["a"]}, {"tags": ["big"]}, {"patterns": ["in:*"]}, {"paths": ["/p"]}]
    for n, body in enumerate(bodies):
        answer = invalidate(gateways[n % 2], "?wait=all&timeout_ms=10000", **body)
        assert answer.status == 200 and sorted(answer.json()["acked"]) == ["app-0", "app-1"], answer
    assert redis.cli("EXISTS", "a", "in:1", "tag:big", *names) == 0
    for peer in peers:
        told = [e.json() for e in peer.got if e.event == "invalidate"]
        assert [{k: e[k] for k in body} for body, e in zip(bodies, told)] == bodies and len(told) == 4
        peer.close()
    resumed = Peer(gateways[1], "app-0", peers[0].got[0].id).begin(resumed=True)
    assert resumed.next().json()["tags"] == ["big"]
    stats = redis.cli("INFO", "commandstats").decode()
    called = stats.replace("cmdstat_fcall:calls=0,", "")  # only refused
    assert "cmdstat_evalsha:" in called and "cmdstat_fcall:" not in called


def test_peers_of_another_database_are_not_ours_though_redis_tells_us_of_them(redis, start_gateway):
    ours, theirs = start_gateway(redis), start_gateway(redis.url[:-1] + "1", redis_linger_ms=0)
    settle(ours, redis)
    peer = Peer(ours, "app-1").begin()
    assert peer.ack().status == 200
    other = Peer(theirs, "app-1").follow()  # opened later, by the same name
    invalidate(theirs, keys=["theirs"])
    begun = threading.Thread(target=lambda: (time.sleep(0.3), invalidate(theirs, keys=["meanwhile"])))
    begun.start()
    answer = invalidate(ours, "?wait=all&timeout_ms=1500", keys=["ours"])
    begun.join()
    assert answer.status == 202 and answer.json()["pending"] == ["app-1"], answer
    assert peer.next().json()["keys"] == ["ours"], "its feed goes on"
    begun = threading.Thread(target=lambda: (time.sleep(0.3), other.ack(peer="app-1", close=True)))
    begun.start()
    answer = invalidate(ours, "?wait=all&timeout_ms=1500", keys=["ours too"])
    begun.join()
    assert answer.status == 202 and answer.json()["pending"] == ["app-1"], answer
    assert peer.next().json()["keys"] == ["ours too"] and peer.ack().status == 200
    other.close()


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
    (b"", 400, "body is not JSON: unexpected end at byte 0"),
    (b"nothing", 400, "body is not JSON: unexpected character at byte 0"),
    (b'{"keys":["a"]} x', 400, "body is not JSON: unexpected character at byte 15"),
    (b"[]", 400, "body: expected an object"),
    (b"{}", 400, "body: names nothing"),
    (b'{"keys":[]}', 400, "body: names nothing"),
    (b'{"keys":"a"}', 400, "keys: expected an array of strings"),
    (b'{"tags":["a",1]}', 400, "tags[1]: expected a string"),
    (b'{"paths":null}', 400, "paths: expected an array of strings"),
    (b'{"keys":["a","b\\nc"]}', 400, "keys[1]: has a control character"),
    (b'{"keys":[""]}', 400, "keys[0]: is empty"),
    (b'{"tags":["' + b"x" * 1025 + b'"]}', 400, "tags[0]: is longer than 1024 bytes"),
    (b'{"patterns":["\xff"]}', 400, "body is not JSON: ill-formed UTF-8 in the string at byte 13"),
    (b'{"keys":["sluice:clock"]}', 400, "keys[0]: begins with sluice:, as the gateways' own keys do"),
    (b'{"keys":["a"],"keys":["b"]}', 400, "keys: given twice"),
    (b'{"colour":["a"]}', 400, "colour: unknown member"),
    (b'{"keys":["a"],"origin":"no spaces"}', 400, "origin: has something else than a-z A-Z 0-9 . _ -"),
    (b'{"keys":["a"],"origin":7}', 400, "origin: expected a string"),
    (json.dumps({"keys": [str(n) for n in range(10001)]}).encode(), 413, "body: more than 10000 names"),
    (json.dumps({k: [str(n) for n in range(2501)] for k in ("keys", "tags", "paths", "patterns")}).encode(), 413,
     "body: more than 10000 names"),
])
def test_a_bad_body_is_refused_with_what_is_wrong_and_nothing_is_announced(gateway, redis, body, status, wrong):
    answer = gateway.post("/invalidate", body)
    assert (answer.status, answer.error()) == (status, wrong)
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


@pytest.mark.parametrize("body, wrong", [
    (b"", "body is not JSON: unexpected end at byte 0"),
    (b"{}", "session: missing"),
    (b"[]", "body: expected an object"),
    (b'{"session":"x"}', "id: missing"),
    (b'{"id":"1-0"}', "session: missing"),
    (b'{"session":"x","id":"y"}', "id: is not an id such as 1760000000000-123"),
    (b'{"session":"x","id":7}', "id: expected a string"),
    (b'{"session":"x","id":"1-0","peer":"a b"}', "peer: has something else than a-z A-Z 0-9 . _ -"),
    (b'{"session":"x","id":"1-0","close":1}', "close: expected true or false"),
    (b'{"session":"x","id":"1-0","more":1}', "more: unknown member"),
])
def test_bad_confirmations_are_refused(gateway, body, wrong):
    answer = gateway.post("/invalidations/ack", body)
    assert (answer.status, answer.error()) == (400, wrong)


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
