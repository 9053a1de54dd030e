"""The Redis functions of the invalidation bus, in both forms."""

import json
import random

import pytest

from harness.functions import FORMS, Functions, Listener, library, text, us
from harness.redis import Redis
from harness.resp import RedisError, Resp

FEED = "sluice.invalidations"
SECOND = 1000000
MINUTE = 60 * SECOND


class Bus(Functions):
    """The functions of the bus, with their answers as Python has them."""

    def ask(self, name, *args):
        return json.loads(self.call(name, *args))

    def invalidate(self, *words, **body):
        return self.ask("sluice_invalidate", json.dumps(body), *words)

    def doom(self, *patterns):
        return self.ask("sluice_doom", json.dumps({"patterns": patterns}))

    def token(self):
        return self.call("sluice_token")

    def fill(self, key, token, *tags, seconds=100, value="new"):
        words = [word for tag in tags for word in ("tag", tag)]
        return self.call("sluice_fill", key, token, value, seconds, *words)

    def open(self, name="app-1", session="s1", gateway="gw-1", *opened):
        return self.ask("sluice_peer_open", name, session, gateway, *opened)

    def ack(self, session, event_id, *name):
        return self.acks((session, event_id, *(name or "-")))[0]

    def acks(self, *words):
        words = [[word.decode() if isinstance(word, bytes) else word for word in three] for three in words]
        return self.ask("sluice_peer_acks", "".join(" ".join(three) + "\n" for three in words))

    def peers(self):
        return {peer["name"]: peer for peer in self.ask("sluice_peers")["peers"]}

    def live(self):
        """The names of the peers that an invalidation now is told of."""
        return sorted(peer["name"] for peer in self.invalidate(keys=["nothing"])["live"])

    def feed(self):
        """[(id, event, data)] of all that was announced."""
        return [(us_, event.decode(), json.loads(data))
                for us_, _, event, data in self.read(FEED).entries]

    def hold(self, *keys, tag=None):
        self.redis.pipeline([("SET", key, "old") for key in keys])
        if tag:
            self.redis.cli("SADD", tag, *keys)

    def held(self, *keys):
        return self.redis.cli("EXISTS", *keys)

    def pass_time(self, seconds):
        """As leases count it."""
        self.redis.cli("HINCRBY", "sluice:steady", "passed", seconds * SECOND)


@pytest.fixture(scope="module", params=FORMS)
def kept_bus(request, module_makers):
    return Bus(module_makers.add(Redis()), request.param)


@pytest.fixture
def bus(kept_bus):
    """The library in a Redis that is empty but for it, and shared by the tests of this file."""
    kept_bus.redis.cli("FLUSHALL")
    return kept_bus


@pytest.fixture
def listen(makers, bus):
    return lambda name: makers.add(Listener(bus.redis, name))


def event(cause="api", origin="", **lists):
    whole = {"keys": [], "tags": [], "paths": [], "patterns": [], **lists}
    return {**whole, "origin": origin, "cause": cause}


# Invalidations


def test_an_invalidation_deletes_keys_and_members_and_announces_them(bus, listen):
    notes = listen("sluice:note:" + FEED)
    bus.hold("product:1", "product:2", "product:3", "other", tag="tag:products")
    bus.redis.cli("SREM", "tag:products", "other")
    bus.redis.cli("SADD", "tag:products", "expired")
    bus.hold("page")
    answer = bus.invalidate(keys=["page", "absent"], tags=["products", "empty"])
    assert answer.pop("settling") > 0
    event_id, _ = answer.pop("id").encode(), answer.pop("roll")
    assert answer == {"deleted": 4, "tags": {"products": 4, "empty": 0}, "pending": None, "live": []}
    assert bus.redis.cli("KEYS", "[^s]*") == [b"other"]
    assert bus.feed() == [(us(event_id), "invalidate", event(keys=["page", "absent"],
                                                             tags=["products", "empty"]))]
    head, body = notes.next()[1].split(b"\n", 1)
    assert head.split(b" ")[1:] == [event_id, b"0-0", b"10"]
    assert body == b"invalidate" + bus.read(FEED).entries[0][3]


def test_the_members_of_an_event_stand_in_one_order_and_are_all_there(bus):
    bus.invalidate(patterns=["p*"], keys=["k"], origin="app-1", cause="webhook")
    assert bus.read(FEED).entries[0][3] == (
        b'{"keys":["k"],"tags":[],"paths":[],"patterns":["p*"],"origin":"app-1","cause":"webhook"}')


def test_a_path_is_also_the_tag_that_next_js_makes_of_it(bus):
    bus.hold("page", tag="tag:_N_T_/products/1")
    answer = bus.invalidate(paths=["/products/1"])
    assert (answer["deleted"], answer["tags"], bus.held("page")) == (1, {}, 0)
    assert bus.feed()[0][2] == event(paths=["/products/1"])


def test_patterns_are_announced_and_delete_nothing(bus):
    bus.hold("product:1")
    assert bus.invalidate(patterns=["product:*"])["deleted"] == 0
    assert bus.held("product:1") == 1 and bus.feed()[0][2] == event(patterns=["product:*"])


def test_another_tag_prefix_names_other_sets(bus):
    bus.hold("a", tag="t/x")
    bus.hold("b", tag="tag:x")
    assert bus.invalidate("tag_prefix", "t/", tags=["x"])["deleted"] == 1
    assert (bus.held("a"), bus.held("b")) == (0, 1)


def test_names_are_announced_as_they_are(bus):
    odd = ['say "hi"', "back\\slash", "/a/b", "é ü 漢 🎈", " "]
    answer = bus.invalidate(keys=odd, tags=odd, paths=odd, patterns=odd, origin='a"b\\')
    assert list(answer["tags"]) == odd
    assert bus.feed()[0][2] == event(keys=odd, tags=odd, paths=odd, patterns=odd, origin='a"b\\')


def test_a_name_given_twice_is_deleted_once(bus):
    bus.hold("a", "b", tag="tag:_N_T_/x")
    answer = bus.invalidate(keys=["a", "a"], tags=["_N_T_/x", "_N_T_/x"], paths=["/x"])
    assert (answer["deleted"], answer["tags"]) == (2, {"_N_T_/x": 2})


def test_the_keys_of_sluice_are_left_alone_as_members(bus):
    bus.hold("a", tag="tag:x")
    bus.invalidate(keys=["first"])
    bus.redis.cli("SADD", "tag:x", "sluice:clock", "sluice:index")
    assert bus.invalidate(tags=["x"])["deleted"] == 1
    assert bus.held("sluice:clock", "sluice:index") == 2 and len(bus.feed()) == 2


def test_a_key_invalidates_once_and_is_answered_alike_with_the_peers_of_now(bus):
    bus.hold("a", tag="tag:x")
    first = bus.invalidate("key", "k", tags=["x"])
    bus.open("app-1")
    bus.hold("a", tag="tag:x")
    second = bus.invalidate("key", "k", tags=["x"])
    assert [peer["name"] for peer in second.pop("live")] == ["app-1"] and first.pop("live") == []
    assert second.pop("settling") <= first.pop("settling")
    assert second.pop("roll") > first.pop("roll") and second == first
    assert bus.held("a") == 1 and len(bus.feed()) == 1
    assert bus.invalidate("key", "l", tags=["x"])["id"] != first["id"]


def test_who_waits_for_nobody_is_told_of_nobody(bus):
    bus.open()
    assert bus.invalidate("live", "0", keys=["a"])["live"] == []
    assert len(bus.invalidate("live", "1", keys=["a"])["live"]) == 1


def test_the_feed_keeps_an_hour(bus):
    bus.invalidate(keys=["a"])
    assert 3590 <= bus.redis.cli("TTL", "sluice:log:" + FEED) <= 3600
    assert bus.hello().longest == 3600


def test_nobody_publishes_to_the_feed(bus):
    with pytest.raises(RedisError, match="begins with a reserved prefix"):
        bus.publish(FEED, "{}", event="invalidate")


def test_a_flush_is_announced_once_for_a_key(bus):
    answer = bus.ask("sluice_flush", "tracking", "key", "k")
    assert (answer["deleted"], answer["tags"], answer["pending"]) == (0, {}, None)
    assert bus.ask("sluice_flush", "tracking", "key", "k")["id"] == answer["id"]
    assert bus.feed() == [(us(answer["id"].encode()), "flush", {"reason": "tracking"})]


# What is refused


LISTS = ("keys", "tags", "paths", "patterns")
WRONG = [("", "the body is not a JSON object"), ("nonsense", "the body is not a JSON object"),
         ("[]", "the body names nothing"), ('["keys"]', "the body is not a JSON object"),
         ('"keys"', "the body is not a JSON object"), ("{", "the body is not a JSON object"),
         ("null", "the body is not a JSON object"), ("{}", "the body names nothing"),
         ('{"keys":[],"tags":[]}', "the body names nothing"),
         ('{"colour":["x"]}',
          'unknown member "colour"; valid are keys, tags, paths, patterns, origin and cause'),
         ('{"keys":["a"],"origin":5}', "origin is not a string"),
         ('{"keys":["a"],"origin":"%s"}' % ("o" * 65), "origin is longer than 64 bytes"),
         ('{"keys":["a"],"origin":"a b"}', "origin must be a word: no space, and not -"),
         ('{"keys":["a"],"cause":"whim"}', "cause must be api, webhook or tracking"),
         ('{"keys":["a"],"cause":false}', "cause must be api, webhook or tracking"),
         ('{"keys":["a"],"cause":null}', "cause must be api, webhook or tracking"),
         ('{"keys":["sluice:clock"]}',
          "keys[0] begins with sluice:, as only the gateway's own keys do"),
         (json.dumps({"keys": ["k"] * 5000, "tags": ["t"] * 5001}),
          "the body has more than 10000 names"),
         (" " * 16777217, "the body is longer than 16777216 bytes")]
for _list in LISTS:
    WRONG += [('{"%s":"a"}' % _list, _list + " is not an array"),
              ('{"%s":{"a":1}}' % _list, _list + " is not an array"),
              ('{"%s":null}' % _list, _list + " is not an array"),
              ('{"%s":false}' % _list, _list + " is not an array"),
              ('{"%s":["a",7]}' % _list, _list + "[1] is not a string"),
              ('{"%s":["a",null]}' % _list, _list + "[1] is not a string"),
              ('{"%s":["a","b","c",""]}' % _list, _list + "[3] is empty"),
              ('{"%s":["a\\nb"]}' % _list, _list + "[0] has a control character"),
              ('{"%s":["a\\u0000b"]}' % _list, _list + "[0] has a control character"),
              ('{"%s":["a\\u0085b"]}' % _list, _list + "[0] has a control character"),
              (b'{"%s":["\xff"]}' % _list.encode(), _list + "[0] is not valid UTF-8"),
              ('{"%s":["%s"]}' % (_list, "n" * 1025), _list + "[0] is longer than 1024 bytes")]


@pytest.mark.parametrize("body, why", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_with_a_body_is_said_and_nothing_is_written(bus, body, why):
    with pytest.raises(RedisError) as refused:
        bus.call("sluice_invalidate", body)
    assert str(refused.value) == "ERR sluice: " + why
    assert bus.redis.cli("DBSIZE") == 0


FILL = "expected <key> <token id> <value> <ttl seconds> [tag_prefix p] [tag t ...]"
INVALIDATE = "expected <json> [tag_prefix p] [key k] [key_seconds n] [live 0|1] [roll r] " \
             "[announce 0|1] [recorder r]"
ACKS = 'expected 1 to 256 lines "<session> <id> <name or ->"'
WRONG_CALLS = [
    (["sluice_invalidate"], INVALIDATE),
    (["sluice_invalidate", "{}", "key"], INVALIDATE),
    (["sluice_invalidate", "{}", "colour", "red"], INVALIDATE),
    (["sluice_invalidate", "{}", "live", "2"], INVALIDATE),
    (["sluice_invalidate", "{}", "key", "k" * 1025], "key is longer than 1024 bytes"),
    (["sluice_invalidate", "{}", "tag_prefix", "k" * 201], "tag_prefix is longer than 200 bytes"),
    (["sluice_invalidate", "{}", "key_seconds", "0"], "key_seconds must be a number from 1 to 86400"),
    (["sluice_invalidate", '{"tags":["clock"]}', "tag_prefix", "sluice:"],
     "the set of tags[0] begins with sluice:, as only the gateway's own keys do"),
    (["sluice_flush", "a b"], "the reason must be a word: no space, and not -"),
    (["sluice_doom"], "expected <json>"),
    (["sluice_pending", "1001"], "max must be a number from 1 to 1000"),
    (["sluice_pending_step", "1-1", "5001"], "the members must be a number from 1 to 5000"),
    (["sluice_pending_step", "x", "1"], "the pending id is no id"),
    (["sluice_pending_done", "x"], "the pending id is no id"),
    (["sluice_token", "x"], "expected no arguments"),
    (["sluice_fill", "k", "1-1", "v"], FILL),
    (["sluice_fill", "k", "1-1", "v", "1", "tag"], FILL),
    (["sluice_fill", "k", "1-1", "v", "1", "label", "x"], FILL),
    (["sluice_fill", "k", "x", "v", "1"], "the token is no id"),
    (["sluice_fill", "k", "1-1", "v", "0"], "the ttl must be a number from 1 to 31536000"),
    (["sluice_fill", "", "1-1", "v", "1"], "the key is empty"),
    (["sluice_fill", "k", "1-1", "v", "1", "tag", "a\n"], "tag 1 has a control character"),
    (["sluice_fill", "k", "1-1", "v", "1"] + ["tag", "t"] * 1001, "more than 1000 tags"),
    (["sluice_fill", "sluice:clock", "1-1", "v", "1"],
     "the key begins with sluice:, as only the gateway's own keys do"),
    (["sluice_fill", "k", "1-1", "v", "1", "tag_prefix", "sluice:", "tag", "clock"],
     "the set of tag 1 begins with sluice:, as only the gateway's own keys do"),
    (["sluice_peer_open", "a"], "expected <name> <session> <gateway> [<opened id>]"),
    (["sluice_peer_open", "a b", "s", "g"], "the name must be a word: no space, and not -"),
    (["sluice_peer_open", "a", "-", "g"], "the session must be a word: no space, and not -"),
    (["sluice_peer_open", "a", "s", "g" * 65], "the gateway is longer than 64 bytes"),
    (["sluice_peer_acks"], "expected <acks>"),
    (["sluice_peer_acks", ""], ACKS),
    (["sluice_peer_acks", "s 1-1"], ACKS),
    (["sluice_peer_acks", "s 1-1 -\ns 1-1 a b"], ACKS),
    (["sluice_peer_acks", "s 1-1 -\n" * 257], ACKS),
    (["sluice_peer_acks", "s 1-1 -\ns x -\n"], "the id is no id"),
    (["sluice_peer_close", "a"], "expected <name> <session>"),
    (["sluice_peers", "x"], "expected no arguments"),
]


@pytest.mark.parametrize("words, why", WRONG_CALLS, ids=range(len(WRONG_CALLS)))
def test_what_is_wrong_with_a_call_is_said(bus, words, why):
    with pytest.raises(RedisError) as refused:
        bus.call(*words)
    assert str(refused.value) == "ERR sluice: " + why
    assert bus.redis.cli("DBSIZE") == 0


@pytest.mark.parametrize("what, name", [("tags", "x"), ("paths", "/x")])
def test_a_set_that_is_none_is_named_and_nothing_is_deleted(bus, what, name):
    bus.hold("a")
    key = "tag:" + ("_N_T_" if what == "paths" else "") + name
    bus.redis.cli("SET", key, "a string")
    with pytest.raises(RedisError) as refused:
        bus.invalidate(**{"keys": ["a"], what: ["good", name]})
    assert str(refused.value) == f"ERR sluice: the key {key} of {what}[1] is no set"
    assert bus.held("a") == 1 and bus.feed() == []


# Large tags


def fill_tag(bus, tag, count, before="m"):
    names = [f"{before}{i}" for i in range(count)]
    bus.hold(*names, tag="tag:" + tag)
    return names


def test_five_thousand_members_go_in_one_call(bus):
    members = fill_tag(bus, "t", 5000)
    answer = bus.invalidate(tags=["t"])
    assert (answer["deleted"], answer["pending"]) == (5000, None)
    assert bus.held(*members, "tag:t") == 0


def finish(bus, pending, members=5000):
    """How many calls it took, and how many copies were deleted."""
    deleted = 0
    for calls in range(1, 100):
        step = bus.ask("sluice_pending_step", pending, members)
        deleted += step["deleted"]
        if step["left"] == 0:
            return calls, deleted
    raise AssertionError("the members do not come to an end")


def test_a_larger_tag_is_announced_when_its_members_are_gone(bus):
    members = fill_tag(bus, "t", 5001)
    answer = bus.invalidate(tags=["t"], origin="app-1", cause="webhook")
    assert (answer["deleted"], answer["tags"], answer["pending"]) == (0, {"t": 5001}, answer["id"])
    assert bus.held("tag:t") == 0 and bus.held(*members) == 5001 and bus.feed() == []
    assert bus.ask("sluice_pending", 10) == {"pending": [{"id": answer["id"], "sets": 1}], "more": 0}
    with pytest.raises(RedisError, match="^ERR sluice: members of .* are left$"):
        bus.ask("sluice_pending_done", answer["pending"])
    assert bus.feed() == [] and finish(bus, answer["pending"], 2000) == (3, 5001)
    assert bus.held(*members) == 0 and bus.feed() == []
    done = bus.ask("sluice_pending_done", answer["pending"])
    assert us(done["id"].encode()) > us(answer["id"].encode())
    assert bus.feed() == [(us(done["id"].encode()), "invalidate",
                           event(tags=["t"], origin="app-1", cause="webhook"))]
    assert bus.ask("sluice_pending", 10) == {"pending": [], "more": 0}
    assert bus.redis.cli("KEYS", "sluice:tomb:*") == []


def test_what_fits_is_announced_at_once_and_the_rest_last(bus):
    small, large = fill_tag(bus, "small", 3000, "s"), fill_tag(bus, "large", 3000, "l")
    fill_tag(bus, "_N_T_/big", 5001, "p")
    bus.hold("a")
    answer = bus.invalidate(keys=["a"], tags=["small", "large"], paths=["/big", "/none"],
                            patterns=["x*"])
    assert answer["deleted"] == 3001 and answer["tags"] == {"small": 3000, "large": 3000}
    assert bus.held(*small, "a") == 0 and bus.held(*large) == 3000
    assert [data for _, _, data in bus.feed()] == [
        event(keys=["a"], tags=["small"], paths=["/none"], patterns=["x*"])]
    assert finish(bus, answer["pending"]) == (2, 8001)
    bus.ask("sluice_pending_done", answer["pending"])
    assert bus.feed()[1][2] == event(tags=["large"], paths=["/big"])


def test_another_gateway_finishes_what_a_dead_one_left(bus, makers):
    fill_tag(bus, "t", 6000)
    left = bus.invalidate(tags=["t"])["pending"]
    bus.ask("sluice_pending_step", left, 1000)
    other = Bus.__new__(Bus)
    other.__dict__.update(bus.__dict__, redis=Resp(bus.redis.socket))
    makers.add(other.redis)
    other.redis.cli = other.redis.call
    found = other.ask("sluice_pending", 1)["pending"][0]["id"]
    assert found == left and finish(other, found) == (1, 5000)
    first = other.ask("sluice_pending_done", left)
    assert bus.ask("sluice_pending_step", left, 1000) == {"left": 0, "deleted": 0}
    assert bus.ask("sluice_pending_done", left)["id"] == first["id"]
    assert len(bus.feed()) == 1


def test_what_nobody_put_aside_has_no_announcement(bus):
    answer = bus.ask("sluice_pending_done", "5-5", "live", "0")
    assert answer["id"] is None and answer["live"] == [] and bus.feed() == []


def test_the_pending_are_listed_oldest_first(bus):
    left = []
    for number in range(3):
        fill_tag(bus, f"t{number}", 5001)
        left.append(bus.invalidate(tags=[f"t{number}"])["pending"])
    assert bus.ask("sluice_pending", 2) == {
        "pending": [{"id": i, "sets": 1} for i in left[:2]], "more": 1}


def test_a_set_that_was_to_expire_does_not_when_it_is_put_aside(bus):
    fill_tag(bus, "t", 5001)
    bus.redis.cli("EXPIRE", "tag:t", 1)
    pending = bus.invalidate(tags=["t"])["pending"]
    assert bus.redis.cli("TTL", f"sluice:tomb:{pending}:1") == -1


def test_members_that_may_not_be_deleted_are_kept(bus):
    fill_tag(bus, "t", 5001)
    pending = bus.invalidate(tags=["t"])["pending"]
    bus.redis.cli("ACL", "SETUSER", "app", "on", "nopass", "+@all", "&*", "~sluice:*", "~tag:*")
    app = Resp(bus.redis.socket)
    try:
        app.call("AUTH", "app", "")
        with pytest.raises(RedisError, match="NOPERM|no permission|No permission|can't access"):
            app.call(*bus.words("sluice_pending_step", pending, 100))
    finally:
        app.close()
        bus.redis.cli("ACL", "DELUSER", "app")
    assert bus.redis.cli("SCARD", f"sluice:tomb:{pending}:1") == 5001
    assert finish(bus, pending) == (2, 5001)


def test_the_keys_of_sluice_are_left_alone_in_large_tags(bus):
    fill_tag(bus, "t", 5000)
    bus.redis.cli("SADD", "tag:t", "sluice:clock")
    pending = bus.invalidate(tags=["t"])["pending"]
    assert finish(bus, pending) == (2, 5000) and bus.held("sluice:clock") == 1


# The fill race


INVALIDATIONS = {
    "key": lambda bus: bus.invalidate(keys=["product:1"]),
    "tag": lambda bus: bus.invalidate(tags=["products"]),
    "path": lambda bus: bus.invalidate(paths=["/products/1"]),
    "pattern": lambda bus: bus.invalidate(patterns=["product:*"]),
    "doom": lambda bus: bus.doom("pr?duct:[0-9]"),
    "flush": lambda bus: bus.ask("sluice_flush", "tracking"),
}


def fill_product(bus, token):
    return bus.fill("product:1", token, "products", "_N_T_/products/1")


@pytest.mark.parametrize("kind", INVALIDATIONS)
def test_a_fill_that_began_before_an_invalidation_is_refused(bus, kind):
    token = bus.token()
    INVALIDATIONS[kind](bus)
    assert fill_product(bus, token) == 0
    assert bus.held("product:1", "tag:products") == 0
    assert bus.fill("article:1", token, "articles") == 1 - (kind == "flush")


@pytest.mark.parametrize("kind", INVALIDATIONS)
def test_a_fill_that_began_after_an_invalidation_is_taken(bus, kind):
    INVALIDATIONS[kind](bus)
    assert fill_product(bus, bus.token()) == 1
    assert bus.redis.cli("GET", "product:1") == b"new"


@pytest.mark.parametrize("kind", ["key", "tag", "path"])
def test_a_fill_that_ended_before_an_invalidation_is_deleted_by_it(bus, kind):
    assert fill_product(bus, bus.token()) == 1
    INVALIDATIONS[kind](bus)
    assert bus.held("product:1") == 0


def test_a_tag_that_was_put_aside_refuses_fills_from_then_on(bus):
    fill_tag(bus, "t", 5001)
    early = bus.token()
    pending = bus.invalidate(tags=["t"])["pending"]
    late = bus.token()
    assert bus.fill("x", early, "t") == 0 and bus.fill("x", late, "t") == 1
    finish(bus, pending)
    bus.ask("sluice_pending_done", pending)
    assert bus.fill("y", early, "t") == 0 and bus.fill("y", late, "t") == 1
    assert bus.redis.cli("SMEMBERS", "tag:t") in ([b"x", b"y"], [b"y", b"x"])


def test_one_token_is_good_for_the_many_keys_it_was_taken_for(bus):
    token = bus.token()
    bus.invalidate(keys=["b"])
    assert [bus.fill(key, token) for key in "abc"] == [1, 0, 1]


def test_a_token_is_above_all_that_was_invalidated_and_below_all_that_will_be(bus):
    for _ in range(50):
        before = us(bus.invalidate(keys=["a"])["id"].encode())
        token = us(bus.token())
        assert before <= token < us(bus.invalidate(keys=["a"])["id"].encode())


def test_a_token_is_good_where_the_clock_was_set_back(bus):
    bus.invalidate(keys=["b"])
    bus.redis.cli("HINCRBY", "sluice:clock", "last", 3600 * SECOND)
    bus.invalidate(keys=["a"])
    token = bus.token()
    assert bus.fill("a", token) == 1
    bus.invalidate(keys=["a"])
    assert bus.fill("a", token) == 0
    ends = [bus.redis.cli("TTL", key) for key in bus.redis.cli("KEYS", "sluice:dead:*")]
    assert max(ends) > 3600, "what is remembered lasts until the clock has come that far"


def test_a_fill_lasts_its_seconds(bus):
    bus.fill("a", bus.token(), seconds=77)
    assert 70 < bus.redis.cli("TTL", "a") <= 77


def test_a_fill_is_noted_in_its_tags_which_last_as_long(bus):
    bus.fill("a", bus.token(), "t", seconds=100)
    assert 90 < bus.redis.cli("TTL", "tag:t") <= 100
    bus.fill("b", bus.token(), "t", seconds=1000)
    bus.fill("c", bus.token(), "t", seconds=10)
    assert 990 < bus.redis.cli("TTL", "tag:t") <= 1000
    assert set(bus.redis.cli("SMEMBERS", "tag:t")) == {b"a", b"b", b"c"}


def test_a_set_that_never_expires_is_left_so(bus):
    bus.redis.cli("SADD", "tag:t", "x")
    bus.fill("a", bus.token(), "t")
    assert bus.redis.cli("TTL", "tag:t") == -1


def test_a_fill_whose_tag_is_no_set_stores_nothing(bus):
    bus.redis.cli("SET", "tag:t", "x")
    with pytest.raises(RedisError, match="WRONGTYPE"):
        bus.fill("a", bus.token(), "t")
    assert bus.held("a") == 0


def test_a_fill_with_another_tag_prefix_goes_by_it(bus):
    token = bus.token()
    bus.invalidate("tag_prefix", "t/", tags=["x"])
    assert bus.fill("a", token, "x") == 1
    words = ("sluice_fill", "b", token, "v", 10, "tag", "x", "tag_prefix", "t/")
    assert bus.call(*words) == 0
    assert bus.call(*words[:2], bus.token(), *words[3:]) == 1
    assert bus.redis.cli("SMEMBERS", "t/x") == [b"b"]


def test_a_token_is_good_for_a_minute(bus):
    token = bus.token()
    bus.redis.cli("HSET", "sluice:clock", "last", us(token) + MINUTE)
    assert bus.fill("a", token) == 1
    bus.redis.cli("HSET", "sluice:clock", "last", us(token) + MINUTE + 1)
    assert bus.fill("a", token) == 0


def test_what_was_invalidated_in_the_minute_before_is_remembered(bus):
    ahead = (us(bus.token()) // MINUTE + 10) * MINUTE
    bus.redis.cli("HSET", "sluice:clock", "last", ahead - 10)
    token = bus.token()
    bus.invalidate(keys=["a"], patterns=["p*"])
    bus.redis.cli("HSET", "sluice:clock", "last", ahead + 5)
    bus.invalidate(keys=["b"])
    assert [bus.fill(key, token) for key in ("a", "b", "pq", "c")] == [0, 0, 0, 1]
    assert [bus.fill(key, bus.token()) for key in ("a", "b", "pq", "c")] == [1, 1, 1, 1]


def test_a_token_that_was_never_given_is_refused(bus):
    ahead = us(bus.token()) + 10 * SECOND
    assert bus.fill("a", text(ahead)) == 0 and bus.fill("a", "0-0") == 0


def test_a_token_of_an_emptied_redis_is_refused(bus):
    token = bus.token()
    bus.redis.cli("FLUSHALL")
    assert bus.fill("a", token) == 0
    assert bus.fill("a", bus.token()) == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_token_from_before_a_restart_is_refused(start_redis, form):
    bus = Bus(start_redis(appendonly="yes", appendfsync="always"), form)
    assert bus.fill("a", bus.token()) == 1
    token = bus.token()
    bus.redis.restart()
    bus.load()
    assert bus.held("a") == 1, "nothing was lost, but nobody can know"
    assert bus.fill("a", token) == 0
    assert bus.fill("a", bus.token()) == 1 and bus.fill("a", token) == 0


def test_a_pattern_matches_what_redis_matches(bus):
    dice, seen = random.Random(7), {0: 0, 1: 0}
    parts = ["a", "b", "*", "*", "?", "[ab]", "[^a]", "[c-a]", "[", "[^", "[a-]", "[b", "\\*", "\\", "]", "-"]
    for _ in range(1000):
        pattern = "".join(dice.choice(parts) for _ in range(dice.randint(1, 5)))
        key = "".join(dice.choice("aabbc-]*\\^") for _ in range(dice.randint(1, 4)))
        *_, found = bus.redis.pipeline([("FLUSHDB",), ("SET", key, "x"), ("KEYS", pattern)])
        token = bus.token()
        bus.doom(pattern)
        taken = bus.fill(key, token)
        assert taken == (not found), (pattern, key)
        seen[taken] += 1
    assert min(seen.values()) > 100


def test_a_fill_that_would_take_long_to_match_is_refused(bus):
    token = bus.token()
    bus.doom("*" + "a" * 400 + "b")
    assert bus.fill("b" * 1000, token) == 1
    assert bus.fill("a" * 1000, token) == 0, "it does not match, but who knows when"


def test_a_class_counts_by_its_bytes_when_it_takes_long_to_match(bus):
    token = bus.token()
    bus.doom("*[" + "b" * 1000 + "]c")
    assert bus.fill("a" * 20, token) == 1
    assert bus.fill("a" * 200, token) == 0, "200 times a class of a thousand bytes"


def test_of_a_thousand_patterns_a_minute_one_stands_for_more(bus):
    token = bus.token()
    bus.doom(*[f"x{i}" for i in range(1000)])
    assert bus.fill("a", token) == 1 and bus.fill("x999", token) == 0
    bus.doom("y")
    assert bus.fill("a", token) == 0 and bus.fill("a", bus.token()) == 1


# Peers


def test_a_peer_opens_acknowledges_and_is_listed(bus, listen):
    told, acks = listen("sluice:peers"), listen("sluice:acks")
    opened = bus.open("app-1", "s1", "gw-1")
    assert told.next() == (b"sluice:peers", b"app-1 s1 " + opened["opened"].encode())
    again = bus.open("app-1", "s1", "gw-1")
    assert again["replaced"] is None, "asked again"
    assert told.next() == (b"sluice:peers", b"app-1 s1 " + again["opened"].encode())
    assert opened == {"name": "app-1", "session": "s1", "opened": opened["opened"], "lease": 15000,
                      "replaced": None}
    assert us(opened["opened"].encode()) <= us(bus.peers()["app-1"]["opened"].encode())
    live = bus.invalidate(keys=["a"])
    assert live["live"] == [{"name": "app-1", "gateway": "gw-1", "session": "s1", "acked": "0-0",
                             "opened": live["live"][0]["opened"], "lease": live["live"][0]["lease"]}]
    assert 14000 < live["live"][0]["lease"] <= 15000
    assert bus.ack("s1", live["id"]) == {"state": "acked", "name": "app-1", "session": "s1",
                                         "acked": live["id"], "lease": 15000}
    assert acks.next() == (b"sluice:acks", b"app-1 s1 " + live["id"].encode())
    listed = bus.ask("sluice_peers")
    assert (listed["feed"], listed["clock"]) == (live["id"], live["id"])
    assert listed["peers"][0]["acked"] == live["id"]


def test_the_feed_of_a_list_is_the_last_that_was_announced(bus):
    assert bus.ask("sluice_peers") == {"clock": "0-0", "feed": "0-0", "peers": []}
    announced = bus.invalidate(keys=["a"])["id"]
    bus.publish("other", "x")
    listed = bus.ask("sluice_peers")
    assert listed["feed"] == announced != listed["clock"]


def test_an_acknowledgement_never_goes_back(bus):
    bus.open()
    first, second = (bus.invalidate(keys=["a"])["id"] for _ in range(2))
    assert bus.ack("s1", second)["acked"] == second
    assert bus.ack("s1", first)["acked"] == second
    assert bus.ack("s1", second, "app-1")["acked"] == second


def test_what_was_never_given_cannot_be_acknowledged(bus, listen):
    acks = listen("sluice:acks")
    bus.open()
    last = bus.invalidate(keys=["a"])["id"]
    ahead = text(us(last.encode()) + 1)
    assert bus.ack("s1", ahead) == {"state": "ahead", "clock": last}
    bus.ack("s1", last)
    assert acks.next()[1].endswith(last.encode())


def test_many_confirm_at_once_and_each_is_answered(bus, listen):
    names = [f'app "{n}\\'.replace(" ", "") for n in range(256)]
    for n, name in enumerate(names):
        bus.open(name, f"s{n}")
    first, last = (bus.invalidate(keys=["a"])["id"] for _ in range(2))
    bus.ack("s7", last)
    acks = listen("sluice:acks")
    words = [(f"s{n}", first, name if n % 2 else "-") for n, name in enumerate(names)]
    words[3] = ("s3", text(us(last.encode()) + 1), "-")
    words[5] = ("s4", last, names[5])
    words[6] = ("gone", last, "-")
    words[8] = ("s9", last, "-")
    bus.pass_time(10)
    said = bus.acks(*words)
    assert [answer["state"] for answer in said] == [
        "ahead" if n == 3 else "unknown" if n in (5, 6) else "acked" for n in range(256)]
    assert said[3]["clock"] == last
    peers = bus.peers()
    for n in (0, 1, 2, 4, 255):
        assert said[n] == {"state": "acked", "name": names[n], "session": f"s{n}", "acked": first, "lease": 15000}
    assert said[7]["acked"] == said[8]["acked"] == said[9]["acked"] == last and said[8]["name"] == names[9]
    assert [n for n in range(256) if peers[names[n]]["acked"] == first] == [
        n for n in range(256) if n not in (3, 5, 6, 7, 8, 9)]
    assert [n for n in range(256) if peers[names[n]]["lease"] < 10000] == [3, 5, 6, 8]
    lines = acks.next()[1].decode().split("\n")
    assert len(lines) == 253 and lines[0] == f"{names[0]} s0 {first}" and lines[7] == f"{names[10]} s10 {first}"


def test_confirmations_that_change_nothing_are_told_to_nobody(bus, listen):
    acks = listen("sluice:acks")
    bus.open()
    last = bus.invalidate(keys=["a"])["id"]
    assert [answer["state"] for answer in bus.acks(("gone", last, "-"), ("s1", last, "gone"),
                                                   ("s1", text(us(last.encode()) + 1), "-"))] == [
        "unknown", "unknown", "ahead"]
    bus.ack("s1", last)
    assert acks.next()[1] == b"app-1 s1 " + last.encode()


def test_a_second_session_of_a_name_replaces_the_first(bus, listen):
    bus.open("app-1", "s1", "gw-1")
    told = listen("sluice:peers")
    last = bus.invalidate(keys=["a"])["id"]
    bus.ack("s1", last)
    second = bus.open("app-1", "s2", "gw-2")
    assert second["replaced"] == "s1"
    assert told.next()[1] == b"app-1 s2 " + second["opened"].encode()
    assert bus.ack("s1", last) == bus.ack("s1", last, "app-1") == {"state": "unknown"}
    peer = bus.peers()["app-1"]
    assert (peer["session"], peer["gateway"], peer["acked"]) == ("s2", "gw-2", "0-0")
    assert bus.redis.cli("HGETALL", "sluice:sessions") == [b"s2", b"app-1"]


def test_every_opening_has_a_higher_id_also_where_the_clock_was_set_back(bus):
    bus.open()
    bus.redis.cli("HINCRBY", "sluice:clock", "last", 60 * SECOND)
    ids = [us(bus.open("app-1", f"s{n}")["opened"].encode()) for n in range(5)]
    assert ids == sorted(set(ids))


def test_who_says_again_what_it_opened_does_not_take_the_name_from_a_later_session(bus, listen):
    first = bus.open("app-1", "s1", "gw-1")["opened"]
    second = bus.open("app-1", "s2", "gw-2")["opened"]
    told = listen("sluice:peers")
    assert bus.open("app-1", "s1", "gw-1", first) == {"name": "app-1", "later": "s2"}
    assert bus.peers()["app-1"]["session"] == "s2"
    bus.open("app-2", "other")
    assert told.next()[1].startswith(b"app-2 other"), "nobody is told of it"
    assert bus.open("app-1", "s2", "gw-2", second)["opened"] == second


def test_who_says_again_what_it_opened_keeps_what_it_confirmed_and_renews_the_lease(bus, listen):
    opened = bus.open()["opened"]
    last = bus.invalidate(keys=["a"])["id"]
    bus.ack("s1", last)
    bus.pass_time(10)
    told = listen("sluice:peers")
    assert bus.open("app-1", "s1", "gw-1", opened)["replaced"] is None
    assert told.next()[1] == b"app-1 s1 " + opened.encode()
    peer = bus.peers()["app-1"]
    assert (peer["opened"], peer["acked"]) == (opened, last) and peer["lease"] > 14000


def test_who_says_again_what_it_opened_takes_the_name_from_who_was_there_before(bus):
    before = bus.open("app-1", "s0")["opened"]
    opened = text(us(before.encode()) + 1)
    assert bus.open("app-1", "s1", "gw-1", opened)["replaced"] == "s0", "Redis had lost s1"
    assert bus.open("app-2", "s2", "gw-1", opened)["opened"] == opened.decode()


def test_a_lease_lapses_and_a_later_word_renews_it(bus):
    bus.open("app-1", "s1")
    bus.open("app-2", "s2")
    bus.pass_time(14)
    bus.ack("s2", "0-0")
    assert bus.live() == ["app-1", "app-2"]
    bus.pass_time(2)
    assert bus.live() == ["app-2"]
    assert bus.peers()["app-1"]["lease"] == 0 and bus.peers()["app-2"]["lease"] > 10000
    assert bus.ack("s1", "0-0")["state"] == "acked" and bus.live() == ["app-1", "app-2"]


def test_a_clock_that_is_set_on_ends_no_lease(bus):
    bus.open()
    bus.redis.cli("HINCRBY", "sluice:steady", "seen", -3600 * SECOND)
    assert 11000 < bus.peers()["app-1"]["lease"] <= 12000
    bus.beat()
    assert 11000 < bus.peers()["app-1"]["lease"] <= 12000, "the beat has counted it"


def test_a_clock_that_is_set_back_makes_no_lease_longer(bus):
    bus.open()
    bus.redis.cli("HINCRBY", "sluice:steady", "seen", 3600 * SECOND)
    assert 14000 < bus.peers()["app-1"]["lease"] <= 15000
    bus.beat()
    bus.redis.cli("HINCRBY", "sluice:steady", "seen", -2 * SECOND)
    assert 12000 < bus.peers()["app-1"]["lease"] <= 13000


def test_beats_keep_the_time_by_which_leases_are_counted(bus):
    bus.beat()
    bus.redis.cli("HINCRBY", "sluice:steady", "seen", -2 * SECOND)
    bus.beat()
    assert 2 * SECOND <= int(bus.redis.cli("HGET", "sluice:steady", "passed")) < 3 * SECOND


def test_a_peer_that_closes_is_waited_for_no_longer(bus, listen):
    opened = bus.open("app-1", "s1")["opened"]
    told = listen("sluice:peers")
    assert bus.ask("sluice_peer_close", "app-1", "other") == {"state": "unknown"}
    assert bus.ask("sluice_peer_close", "app-2", "s1") == {"state": "unknown"}
    assert bus.live() == ["app-1"]
    assert bus.ask("sluice_peer_close", "app-1", "s1") == {"state": "closed", "name": "app-1"}
    assert told.next()[1] == b"app-1 - " + opened.encode()
    assert bus.live() == [] and bus.peers() == {} and bus.ack("s1", "0-0") == {"state": "unknown"}
    assert bus.held("sluice:peers", "sluice:sessions", "sluice:leases") == 0


def roll(bus, known):
    """None when who has that roll is told that it is still the one; else who is on the new one."""
    answer = bus.invalidate("roll", known, keys=["a"])
    assert (answer["live"] is None) == (answer["roll"] == known)
    return None if answer["live"] is None else sorted(peer["name"] for peer in answer["live"])


def test_who_has_the_roll_is_told_of_it_again_when_others_live(bus):
    assert roll(bus, "") == []
    bus.open("app-1", "s1")
    bus.open("app-2", "s2")
    known = bus.invalidate("key", "k", keys=["a"])["roll"]
    assert roll(bus, known) is None and roll(bus, "") == roll(bus, "1") == ["app-1", "app-2"]
    assert len(bus.invalidate("key", "k", "roll", known, keys=["a"])["live"]) == 2, "they may have confirmed it"
    bus.ack("s2", "0-0")
    assert roll(bus, known) is None
    bus.pass_time(14)
    bus.ack("s2", "0-0")
    bus.pass_time(2)
    assert roll(bus, known) is None, "that one has died since changes nothing"
    assert roll(bus, "") == ["app-2"]
    bus.ack("s2", "0-0")
    assert roll(bus, known) is None
    bus.ack("s1", "0-0")
    assert roll(bus, known) == ["app-1", "app-2"], "one lives again"


@pytest.mark.parametrize("change, names", [
    (lambda bus: bus.open("app-2", "s2"), ["app-1", "app-2"]),
    (lambda bus: bus.open("app-1", "s2"), ["app-1"]),
    (lambda bus: bus.ask("sluice_peer_close", "app-1", "s1"), []),
    (lambda bus: bus.redis.cli("FLUSHALL"), []),
], ids=["opened", "replaced", "closed", "emptied"])
def test_a_roll_that_has_changed_is_told(bus, change, names):
    bus.open("app-1", "s1")
    known = bus.invalidate(keys=["a"])["roll"]
    change(bus)
    assert roll(bus, known) == names


def test_no_roll_comes_twice_also_where_the_clock_was_set_back(bus):
    bus.open()
    bus.redis.cli("HINCRBY", "sluice:steady", "roll", 3600 * SECOND)
    known = bus.invalidate(keys=["a"])["roll"]
    bus.open("app-2", "s2")
    assert int(bus.invalidate(keys=["a"])["roll"]) == int(known) + 1


def test_a_dead_peer_is_forgotten_after_an_hour(bus):
    bus.open("app-1", "s1")
    bus.pass_time(3600 + 14)
    assert list(bus.peers()) == ["app-1"]
    bus.pass_time(2)
    assert bus.peers() == {}
    bus.open("app-2", "s2")
    assert bus.redis.cli("HKEYS", "sluice:peers") == [b"app-2"]
    assert bus.redis.cli("HVALS", "sluice:sessions") == [b"app-2"]


def test_there_are_at_most_ten_thousand_peers(bus):
    bus.open("app-0", "s0")
    rest = range(1, 10000)
    bus.redis.cli("HSET", "sluice:peers", *[w for i in rest for w in (f"app-{i}", f"s{i} g 0-0 0-0")])
    bus.redis.cli("ZADD", "sluice:leases", *[w for i in rest for w in (15 * SECOND, f"app-{i}")])
    assert len(bus.peers()) == 10000
    with pytest.raises(RedisError, match="^ERR sluice: there are 10000 peers already$"):
        bus.open("late", "t")
    assert bus.open("app-7", "t")["replaced"] == "s7"
    bus.redis.cli("ZADD", "sluice:leases", "0", "app-5")
    bus.open("late", "u")
    assert len(bus.peers()) == 10000 and "app-5" not in bus.peers()


def settling(bus):
    return bus.invalidate(keys=["a"])["settling"]


def test_peers_that_a_new_dataset_cannot_know_are_told_of_for_a_lease(bus):
    assert settling(bus) == 15000
    bus.beat()
    bus.pass_time(10)
    assert 4000 < settling(bus) <= 5000
    bus.pass_time(10)
    assert settling(bus) == 0


def test_peers_that_a_new_reign_may_have_lost_are_told_of_for_a_lease(bus):
    bus.beat()
    bus.invalidate("key", "k", keys=["a"])
    bus.pass_time(20)
    assert settling(bus) == 0
    if bus.form == "FCALL":
        bus.redis.cli("FUNCTION", "LOAD", "REPLACE", library())
        assert bus.invalidate("key", "k", keys=["a"])["settling"] == 15000, "and nothing is written"
    else:
        epoch, clock, _ = bus.beat().split()
        assert bus.hello(epoch, b"another run", us(clock)).verdict == "rewound"
    assert 14000 < settling(bus) <= 15000
    bus.pass_time(20)
    assert settling(bus) == 0


def test_a_clock_that_is_set_on_ends_no_settling(bus):
    bus.beat()
    assert settling(bus) > 14000
    bus.redis.cli("HINCRBY", "sluice:steady", "seen", -3600 * SECOND)
    bus.redis.cli("HINCRBY", "sluice:clock", "born", -3600 * SECOND)
    assert 11000 < settling(bus) <= 12000
    bus.beat()
    assert 11000 < settling(bus) <= 12000, "the beat has counted it"


def test_a_clock_that_is_set_back_makes_settling_no_longer(bus):
    bus.beat()
    assert settling(bus) > 14000
    for field in ("last", "born"):
        bus.redis.cli("HINCRBY", "sluice:clock", field, 3600 * SECOND)
    bus.redis.cli("HINCRBY", "sluice:steady", "seen", 3600 * SECOND)
    assert 14000 < settling(bus) <= 15000
    bus.beat()
    bus.pass_time(16)
    assert settling(bus) == 0


def test_a_dataset_whose_time_is_counted_anew_settles_for_a_lease(bus):
    bus.beat()
    assert settling(bus) > 14000
    bus.pass_time(1000)
    bus.redis.cli("HSET", "sluice:clock", "whole", 990 * SECOND)
    assert 4000 < settling(bus) <= 5000
    bus.redis.cli("DEL", "sluice:steady")
    assert settling(bus) == 15000
    bus.beat()
    bus.pass_time(16)
    assert settling(bus) == 0


# Redis itself


def test_a_full_redis_still_invalidates_by_functions_and_stores_no_fill(start_redis):
    bus = Bus(start_redis(maxmemory_policy="noeviction"), "FCALL")
    bus.open()
    bus.hold("a", "b", tag="tag:t")
    bus.redis.cli("CONFIG", "SET", "maxmemory", "1")
    answer = bus.invalidate(tags=["t"])
    assert answer["deleted"] == 2 and [p["name"] for p in answer["live"]] == ["app-1"]
    assert bus.ack("s1", answer["id"])["state"] == "acked"
    with pytest.raises(RedisError, match="^OOM"):
        bus.fill("a", bus.token())
    assert len(bus.feed()) == 1


def test_a_full_redis_invalidates_whole_or_not_at_all_by_scripts(start_redis):
    bus = Bus(start_redis(maxmemory_policy="noeviction"), "EVALSHA")
    bus.hold("a")
    bus.redis.cli("CONFIG", "SET", "maxmemory", "1")
    for _ in range(3):
        try:
            bus.invalidate(keys=["a"])
        except RedisError as refused:
            assert "OOM" in str(refused)
            assert bus.held("a") == 1 and bus.feed() == []
        else:
            assert bus.held("a") == 0 and len(bus.feed()) == 1
            return


def permissions():
    """What the top of the library says: what all callers need, and what those of the bus do."""
    said = library().decode().split("beside +fcall or +evalsha:")[1].split("\n\n")[0]
    common, moreover = said.split("For the bus moreover")
    return common.rstrip(".\n").split(), moreover.split("):")[1].rstrip(".").split()


def call_all(call, bus):
    """Each function of the bus, by a caller that has the keys product:* and tag:*."""
    bus.redis.cli("FLUSHALL")
    fill_tag(bus, "big", 5001, "product:")
    bus.hold("product:a", tag="tag:small")

    def ask(*words):
        return call(*bus.words(*words))

    ask("sluice_peer_open", "app", "s", "g")
    body = json.dumps({"keys": ["product:x"], "tags": ["small", "big"], "patterns": ["p"]})
    answer = json.loads(ask("sluice_invalidate", body, "key", "k"))
    ask("sluice_pending", 10)
    for _ in range(2):
        ask("sluice_pending_step", answer["pending"], 5000)
    ask("sluice_pending_done", answer["pending"])
    ask("sluice_doom", '{"patterns":["q"]}')
    ask("sluice_flush", "reason")
    assert ask("sluice_fill", "product:x", ask("sluice_token"), "v", 10, "tag", "t") == 1
    ask("sluice_peer_acks", f"s {answer['id']} -\n")
    ask("sluice_peers")
    ask("sluice_peer_close", "app", "s")


def as_user(bus, words, act):
    bus.redis.cli("ACL", "SETUSER", "app", "on", "nopass", "resetchannels", "-@all", *words)
    app = Resp(bus.redis.socket)
    try:
        app.call("AUTH", "app", "")
        return act(app.call)
    finally:
        app.close()
        bus.redis.cli("ACL", "DELUSER", "app")


def test_a_caller_needs_just_the_permissions_that_the_library_names_for_the_bus(bus):
    common, moreover = permissions()
    common += ["+evalsha", "~product:*", "~tag:*"]
    if bus.form == "FCALL":
        common.append("+fcall")
    if bus.redis.cli("INFO", "server").decode().split("redis_version:")[1].startswith("6."):
        common = [word.replace("+memory|usage", "+memory") for word in common]
    assert len(moreover) == 14
    as_user(bus, common + moreover, lambda call: call_all(call, bus))
    for word in moreover:
        with pytest.raises(RedisError, match="(?i)noperm|permission|can't run"):
            as_user(bus, common + [w for w in moreover if w != word], lambda call: call_all(call, bus))


# What tracking sees


def seen(bus, key, recorder, *words):
    return bus.invalidate("announce", 1, "recorder", recorder, "live", 0, *words, keys=[key],
                          cause="tracking")


def test_what_is_only_announced_is_not_deleted_but_refuses_older_fills(bus):
    bus.hold("product:1")
    token = bus.token()
    answer = bus.invalidate("announce", 1, keys=["product:1"], tags=["products"], cause="tracking")
    assert (answer["deleted"], answer["tags"], answer["pending"]) == (0, {}, None)
    assert bus.redis.cli("GET", "product:1") == b"old"
    assert bus.feed() == [(us(answer["id"].encode()), "invalidate",
                           event("tracking", keys=["product:1"], tags=["products"]))]
    assert bus.fill("product:1", token) == 0
    assert bus.fill("product:1", bus.token()) == 1


def records(bus, recorder, beacon):
    """Who it is that records then."""
    return bus.ask("sluice_recorder", recorder, beacon)["recorder"]


def test_one_gateway_records_until_its_lease_lapses(bus):
    assert records(bus, "g-a.1", "g-a.1:1") == "g-a.1"
    assert records(bus, "g-b.1", "g-b.1:1") == "g-a.1"
    assert 5000 < bus.redis.cli("PTTL", "sluice:recorder:g") <= 6000
    assert seen(bus, "k1", "g-b.1") == {"id": None, "recorder": "g-a.1"}
    assert bus.ask("sluice_flush", "doubt", "recorder", "g-b.1") == {"id": None, "recorder": "g-a.1"}
    assert bus.feed() == []
    assert seen(bus, "k2", "g-a.1")["id"]
    bus.redis.cli("DEL", "sluice:recorder:g")
    assert seen(bus, "k3", "g-b.1")["id"]
    assert records(bus, "g-a.1", "g-a.1:2") == "g-b.1"
    assert [data["keys"] for _, _, data in bus.feed()] == [["k2"], ["k3"]]


def test_gateways_that_track_other_prefixes_have_a_recorder_of_their_own(bus):
    assert records(bus, "g-a.1", "g-a.1:1") == "g-a.1"
    assert records(bus, "h-b.1", "h-b.1:1") == "h-b.1"


def test_a_gateway_takes_its_own_lease_over_but_not_back(bus):
    records(bus, "g-a.9", "g-a.9:1")
    assert records(bus, "g-a.10", "g-a.10:1") == "g-a.10"
    assert records(bus, "g-a.9", "g-a.9:2") == "g-a.10"


def test_a_recorder_that_leaves_is_followed_at_once(bus):
    records(bus, "g-a.1", "g-a.1:1")
    assert bus.ask("sluice_recorder_leave", "g-b.1") == {"recorder": "g-a.1"}
    assert records(bus, "g-b.1", "g-b.1:1") == "g-a.1"
    assert bus.ask("sluice_recorder_leave", "g-a.1") == {"recorder": ""}
    assert records(bus, "g-b.1", "g-b.1:2") == "g-b.1"
    assert bus.ask("sluice_recorder_leave", "g-a.1") == {"recorder": "g-b.1"}


def test_a_beacon_tells_how_often_databases_were_swapped(bus):
    def swaps():
        return bus.ask("sluice_recorder", "", "g-a.1:1")["swaps"]
    before = swaps()
    bus.redis.cli("SWAPDB", 3, 4)
    assert swaps() == before + 1
    bus.redis.cli("SWAPDB", 0, 1)
    bus.redis.cli("SWAPDB", 0, 1)
    assert swaps() == before + 3
    bus.redis.cli("EVAL", "redis.call('SWAPDB', 3, 4)", 0)
    assert swaps() == before + 4
    bus.redis.cli("CONFIG", "RESETSTAT")
    assert swaps() == 0


def test_a_batch_that_is_recorded_again_is_recorded_once(bus):
    first = seen(bus, "k", "g-a.1", "key", "g-a.1 7")
    bus.redis.cli("SET", "sluice:recorder:g", "g-b.1")
    assert seen(bus, "k", "g-a.1", "key", "g-a.1 7")["id"] == first["id"]
    assert len(bus.feed()) == 1


def test_a_beacon_is_a_key_of_its_own_that_goes_by_itself(bus):
    assert records(bus, "", "g-a.1:17") == ""
    assert 0 < bus.redis.cli("TTL", "sluice:track:1:g-a.1:17") <= 10
    assert records(bus, "g-a.1", "g-a.1:18:17") == "g-a.1"
    assert records(bus, "", "g-b.1:1") == ""
    assert bus.redis.cli("EXISTS", "sluice:track:2:g-a.1:18:17", "sluice:track:3:g-b.1:1") == 2


@pytest.mark.parametrize("words, error", (
    (("a", "b"), "ERR sluice: the recorder must be <group>-<gateway>.<term>"),
    (("g-a.1", "b c"), "ERR sluice: the beacon must be a word: no space, and not -"),
    (("g-a.1",), "ERR sluice: expected <recorder> <beacon>"),
))
def test_a_recorder_that_cannot_be_is_refused(bus, words, error):
    with pytest.raises(RedisError) as refusal:
        bus.call("sluice_recorder", *words)
    assert str(refusal.value) == error
