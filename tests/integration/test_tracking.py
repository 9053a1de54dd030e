"""Writes that know nothing of the bus, announced by Redis's client tracking."""

import json
import re
import signal
import time

import pytest

from harness.peer import Peer
from harness.process import until

TRACKED = {"invalidation": {"tracking": {"prefixes": ["product:", "zone:"]}}}


class Feed:
    """All that was announced, as the log of the feed has it."""

    def __init__(self, redis):
        self.redis = redis

    def events(self):
        entries = self.redis.cli("XRANGE", "sluice:log:sluice.invalidations", "-", "+")
        pairs = [dict(zip(fields[::2], fields[1::2])) for _, fields in entries]
        return [(pair[b"e"].decode(), json.loads(pair[b"d"])) for pair in pairs]

    def keys(self):
        """The keys that tracking announced, in order."""
        return [key for event, data in self.events() if event == "invalidate" and data["cause"] == "tracking"
                for key in data["keys"]]

    def flushes(self):
        return [data["reason"] for event, data in self.events() if event == "flush"]

    def wait_keys(self, *keys, seconds=5.0):
        until(lambda: set(keys) <= set(self.keys()), seconds, lambda: f"{keys} in {self.events()}")

    def wait_flushes(self, *reasons, seconds=5.0):
        until(lambda: self.flushes() == list(reasons), seconds, lambda: f"{reasons}, not {self.events()}")


@pytest.fixture
def feed(redis):
    return Feed(redis)


@pytest.fixture
def start(redis, start_gateway):
    """A gateway that tracks, once it is told of what changes; one that is alone also records."""
    def start(alone=True):
        gateway = start_gateway(redis, **TRACKED)
        gateway.wait_metric("sluice_tracking_up", 1)
        if alone:
            gateway.wait_metric("sluice_tracking_recorder", 1)
        return gateway
    return start


@pytest.fixture
def gateway(start, feed):
    gateway = start()
    feed.wait_flushes("tracking")
    return gateway


@pytest.fixture
def pair(start, feed):
    """(the one that records, the one that follows and knows all that is not announced yet)"""
    recorder = start()
    feed.wait_flushes("tracking")
    follower = start(alone=False)
    time.sleep(6)  # two beacons of the recorder that claim more than the one before
    return recorder, follower


@pytest.fixture
def kill(makers):
    """As kill -9 does; its end is not a good one, and nobody looks at it."""
    def kill(gateway):
        gateway.child.kill()
        gateway.child.wait()
        gateway.clean()
        makers.made.remove(gateway)
    return kill


def client(redis, pattern):
    """The connection of a gateway whose line in CLIENT LIST matches, and its match."""
    for line in redis.cli("CLIENT", "LIST").decode().splitlines():
        found = re.search(pattern, line)
        if found and "name=sluice" in line:
            return line.split("id=")[1].split(" ")[0], found
    raise AssertionError(pattern)


def freeze(gateway):
    gateway.child.send_signal(signal.SIGSTOP)


def thaw(gateway):
    gateway.child.send_signal(signal.SIGCONT)


# What is announced


def test_any_change_of_a_tracked_key_by_anyone_reaches_the_peers(gateway, redis):
    peer = Peer(gateway, "app-1").begin()
    for command in (("SET", "product:1", "x"), ("EXPIRE", "product:1", 100), ("DEL", "product:1"),
                    ("HSET", "zone:eu", "field", "y")):
        redis.cli(*command)
        event = peer.next()
        assert (event.event, event.json()) == ("invalidate", {
            "keys": [command[1]], "tags": [], "paths": [], "patterns": [], "origin": "", "cause": "tracking"})
    assert redis.cli("HGET", "zone:eu", "field") == b"y"


def test_a_key_that_expires_is_announced(gateway, redis, feed):
    redis.cli("SET", "product:1", "x")
    feed.wait_keys("product:1")
    redis.cli("PEXPIRE", "product:1", 300)
    until(lambda: feed.keys() == ["product:1"] * 3, 5, lambda: str(feed.events()))
    assert redis.cli("EXISTS", "product:1") == 0


def test_a_key_that_is_not_tracked_is_not_announced(gateway, redis, feed):
    redis.pipeline([("SET", "other", "x"), ("SET", "produce", "x"), ("SET", "product:1", "x")])
    feed.wait_keys("product:1")
    assert feed.keys() == ["product:1"]


def test_many_changes_at_once_are_announced_in_few_events(gateway, redis, feed):
    keys = [f"product:{n}" for n in range(5000)]
    redis.pipeline([("SET", key, "x") for key in keys])
    feed.wait_keys(*keys)
    assert len(feed.keys()) == 5000 and len(feed.events()) < 500


def test_a_fill_that_began_before_a_tracked_write_is_refused(gateway, redis, feed):
    token = redis.cli("FCALL", "sluice_token", 1, "sluice:")
    redis.cli("SET", "product:1", "newer")
    feed.wait_keys("product:1")
    assert redis.cli("FCALL", "sluice_fill", 1, "sluice:", "product:1", token, "older", 100) == 0
    assert redis.cli("GET", "product:1") == b"newer"


# Doubt


def test_emptying_any_database_becomes_a_flush(gateway, redis, feed):
    redis.pipeline([("SELECT", 3), ("FLUSHDB",), ("SELECT", 0)])
    feed.wait_flushes("tracking", "flushed")


def test_a_swap_of_any_databases_becomes_a_flush_even_when_it_is_undone_at_once(gateway, redis, feed):
    redis.cli("SWAPDB", 2, 3)  # tracking goes by names, in whatever database
    feed.wait_flushes("tracking", "swapped")
    redis.pipeline([("SWAPDB", 0, 1), ("SWAPDB", 0, 1)])
    feed.wait_flushes("tracking", "swapped", "swapped")


@pytest.mark.parametrize("how", [("FLUSHALL",), ("SWAPDB", 0, 1)], ids=["emptied", "own database swapped"])
def test_another_content_of_the_gateways_database_becomes_a_flush_and_tracking_goes_on(gateway, redis, how):
    peer = Peer(gateway, "app-1").begin()
    redis.cli(*how)
    assert peer.next().event == "flush"
    redis.cli("SET", "product:1", "x")
    while True:
        event = peer.next()
        if event.event == "invalidate":
            break
        assert event.event == "flush"
    assert event.json()["keys"] == ["product:1"]


@pytest.mark.parametrize("which", ["listens", "tracks"])
def test_the_loss_of_either_connection_becomes_a_flush(gateway, redis, feed, which):
    tracker, found = client(redis, r"redir=([1-9]\d*)")
    redis.cli("CLIENT", "KILL", "ID", found[1] if which == "listens" else tracker)
    feed.wait_flushes("tracking", "tracking")
    assert len(gateway.lines("tracking is lost: Redis closed the connection")) == 1
    redis.cli("SET", "product:1", "x")
    feed.wait_keys("product:1")
    assert sum("redir=-1" not in line for line in redis.cli("CLIENT", "LIST").decode().splitlines()) == 1


def test_the_loss_of_the_gateways_other_connections_becomes_a_flush(gateway, redis, feed):
    redis.cli("CLIENT", "KILL", "ID", client(redis, "cmd=fcall")[0])
    feed.wait_flushes("tracking", "tracking", seconds=10)
    redis.cli("SET", "product:1", "x")
    feed.wait_keys("product:1")


@pytest.mark.deadline(40)
def test_tracking_that_tells_nothing_any_more_is_noticed_and_becomes_a_flush(gateway, redis, feed):
    redis.cli("ACL", "SETUSER", "default", "-fcall")
    gateway.wait_log("what is written does not come back", 20)
    redis.cli("ACL", "SETUSER", "default", "+fcall")
    feed.wait_flushes("tracking", "tracking", seconds=15)


def test_a_key_that_no_event_can_name_becomes_a_flush(gateway, redis, feed):
    redis.cli("SET", b"product:\xff", "x")
    feed.wait_flushes("tracking", "name")
    redis.cli("SET", "product:1", "x")
    feed.wait_keys("product:1")


def test_what_somebody_publishes_in_redis_own_name_is_ignored_and_counted(gateway, redis, feed):
    redis.cli("PUBLISH", "__redis__:invalidate", "product:1")
    redis.cli("PUBLISH", "__redis__:invalidate", "")
    gateway.wait_metric("sluice_tracking_spoofed_total", 2)
    redis.cli("SET", "product:2", "x")
    feed.wait_keys("product:2")
    assert feed.keys() == ["product:2"] and feed.flushes() == ["tracking"]


def test_a_redis_that_was_restarted_becomes_a_flush(gateway, redis, feed):
    redis.restart()
    feed.wait_flushes("tracking", seconds=15)
    redis.cli("SET", "product:1", "x")
    feed.wait_keys("product:1")


# Several gateways


@pytest.mark.deadline(60)
def test_of_two_gateways_one_announces_and_a_second_that_comes_and_goes_flushes_nothing(pair, redis, feed):
    recorder, follower = pair
    keys = [f"product:{n}" for n in range(200)]
    for key in keys:
        redis.cli("SET", key, "x")
    feed.wait_keys(*keys)
    assert follower.metric("sluice_tracking_keys_total") == 200
    assert (recorder.metric("sluice_tracking_recorder"), follower.metric("sluice_tracking_recorder")) == (1, 0)
    follower.stop()
    time.sleep(1)
    assert sorted(feed.keys()) == sorted(keys) and feed.flushes() == ["tracking"]


@pytest.mark.deadline(60)
def test_a_recorder_that_is_stopped_gives_way_to_another_at_once(pair, redis, feed):
    def holder():
        (key,) = redis.cli("KEYS", "sluice:recorder:*") or (None,)
        return key and redis.cli("GET", key)
    recorder, follower = pair
    before = holder()
    redis.cli("SET", "product:1", "x")
    recorder.stop()
    assert holder() != before
    assert "product:1" in feed.keys()
    follower.wait_metric("sluice_tracking_recorder", 1)
    redis.cli("SET", "product:2", "x")
    feed.wait_keys("product:2")
    assert feed.flushes() == ["tracking"]


@pytest.mark.deadline(60)
def test_what_a_recorder_that_is_killed_has_not_announced_is_announced_by_another(pair, kill, redis, feed):
    recorder, follower = pair
    redis.cli("SET", "product:before", "x")
    feed.wait_keys("product:before")
    freeze(recorder)  # so that it cannot have announced what is written now
    keys = [f"product:{n}" for n in range(50)]
    for key in keys:
        redis.cli("SET", key, "x")
    kill(recorder)
    feed.wait_keys(*keys, seconds=12)
    assert feed.flushes() == ["tracking"]
    follower.wait_metric("sluice_tracking_recorder", 1)


@pytest.mark.deadline(60)
def test_a_recorder_that_stood_still_gives_way_and_loses_nothing(pair, redis, feed):
    recorder, follower = pair
    freeze(recorder)
    redis.cli("SET", "product:1", "x")
    feed.wait_keys("product:1", seconds=12)
    thaw(recorder)
    recorder.wait_metric("sluice_tracking_recorder", 0)
    redis.cli("SET", "product:2", "x")
    feed.wait_keys("product:2")
    time.sleep(1)
    assert feed.keys() == ["product:1", "product:2"] and feed.flushes() == ["tracking"]
    assert follower.metric("sluice_tracking_recorder") == 1


@pytest.mark.deadline(60)
def test_a_successor_that_cannot_know_all_flushes(start, kill, redis, feed):
    recorder = start()
    feed.wait_flushes("tracking")
    freeze(recorder)
    redis.cli("SET", "product:1", "x")
    start(alone=False)  # after the write, which only the frozen one is told of
    kill(recorder)
    feed.wait_flushes("tracking", "tracking", seconds=15)
