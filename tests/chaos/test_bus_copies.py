"""The copies that peers of a bus run keep, and the judgement on what they serve."""

import random
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from parts import bus_calls, bus_hooks, bus_peers, bus_run  # noqa: E402
from parts import bus_world as world  # noqa: E402
from parts.bus_copies import Copies, touches  # noqa: E402

ROW, OTHER = 17, 100
LIVE = world.LIVE[5]
NOTHING = {"keys": [], "tags": [], "paths": [], "patterns": []}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def copies(clock):
    """With a lease that has just begun and one copy."""
    made = Copies(clock)
    made.renewed(clock.now)
    fill(made, ROW)
    return made


def fill(copies, row, version=1):
    copies.keep(copies.get(row)[1], world.text_of(row, version))


def held(copies, row=ROW):
    return copies.get(row)[0] is not None


@pytest.mark.parametrize("names", [{"keys": [world.name_of(ROW)]}, {"tags": [world.tag_of(ROW)]},
                                   {"paths": [world.path_of(ROW)]}, {"patterns": ["row:1:*"]}])
def test_each_kind_of_name_drops_the_copies_that_it_means_and_no_others(copies, names):
    fill(copies, OTHER)
    copies.drop({**NOTHING, **names})
    assert not held(copies) and held(copies, OTHER)


def test_nothing_is_served_before_the_first_confirmation_was_answered(clock):
    assert Copies(clock).get(ROW) == (None, None)


def test_the_lease_counts_from_when_the_confirmation_was_sent(copies, clock):
    sent, clock.now = clock.now + 5, clock.now + 9
    copies.renewed(sent)
    clock.now = sent + world.LEASE_SECONDS - 0.1
    assert held(copies)
    clock.now += 0.2
    assert copies.get(ROW) == (None, None)


def test_copies_do_not_outlive_a_lease_that_lapsed_before_its_renewal_was_answered(copies, clock):
    sent = clock.now + world.LEASE_SECONDS - 1
    clock.now = sent + 2
    copies.renewed(sent)
    assert copies.holds() and not held(copies) and copies.counts["lapsed"] == 1


@pytest.mark.parametrize("doubt", ["drop", "flush", "lapse"])
def test_what_was_fetched_while_it_was_invalidated_is_not_kept(copies, clock, doubt):
    ticket = copies.get(OTHER)[1]
    if doubt == "drop":
        copies.drop({**NOTHING, "keys": [world.name_of(OTHER)]})
    elif doubt == "flush":
        copies.flush()
    else:
        clock.now += world.LEASE_SECONDS + 1
        copies.renewed(clock.now)
    copies.keep(ticket, world.text_of(OTHER, 1))
    assert not held(copies, OTHER) and copies.counts["raced"] == 1


def test_who_left_serves_nothing_until_it_is_back_and_then_begins_empty(copies, clock):
    ticket = copies.get(OTHER)[1]
    copies.leave()
    assert copies.get(ROW) == (None, None)
    copies.keep(ticket, world.text_of(OTHER, 1))
    copies.renewed(clock.now)
    assert copies.holds() and not held(copies) and not held(copies, OTHER)


def test_what_nobody_knows_is_not_kept(copies):
    copies.keep(copies.get(LIVE)[1], None)
    assert not held(copies, LIVE)


def test_a_write_that_tracking_tells_drops_the_live_row(copies):
    fill(copies, LIVE)
    copies.drop({**NOTHING, "keys": [world.name_of(LIVE)], "cause": "tracking"})
    assert not held(copies, LIVE) and held(copies, ROW)


# -- the judgement ---------------------------------------------------------------------------------

@pytest.fixture
def peer(tmp_path, copies, monkeypatch):
    """A peer without servers, which has a copy of ROW in version 1."""
    monkeypatch.setattr(bus_peers, "Feed", lambda number, *_: type("Feed", (), {"name": world.peer_name(number)})())
    made = bus_peers.Peer(1, world.Database(tmp_path), 1, "/nowhere", "")
    made.copies = copies
    made.feed.counts, made.feed.wrong = Counter(), []
    return made


def test_a_read_below_the_floor_is_stale(peer):
    versions = peer.database.write([ROW])
    peer.read(ROW)
    assert not peer.counts["stale reads"], "nobody was told yet that all have confirmed"
    peer.database.raise_floor(versions)
    peer.read(ROW)
    assert peer.counts["stale reads"] == 1 and peer.counts["reads"] == 2


def test_a_read_below_what_this_peer_was_told_is_stale(peer):
    peer.copies.drop({**NOTHING, "keys": [world.mark_of(ROW, 2), world.mark_of(OTHER, 1)]})
    peer.read(ROW)
    assert peer.counts["stale reads"] == 1
    fill(peer.copies, OTHER)
    peer.read(OTHER)
    assert peer.counts["stale reads"] == 1


def test_a_live_row_below_what_its_mark_told_is_stale_and_one_that_is_gone_is_not(peer):
    peer.database.write([LIVE])
    fill(peer.copies, LIVE)
    peer.read(LIVE)
    assert not peer.counts["stale reads"]
    for version in (2, 1):  # the mark of an older one ends
        peer.copies.drop({**NOTHING, "keys": [world.mark_of(LIVE, version)], "cause": "tracking"})
    peer.read(LIVE)
    assert peer.counts["stale reads"] == 1 and not peer.counts["repeated"]
    peer.copies.held[LIVE] = world.live_text(LIVE, None)
    peer.read(LIVE)
    assert peer.counts["stale reads"] == 1 and not peer.counts["garbled"]


def test_an_invalidation_that_comes_twice_is_repeated_unless_a_flush_came_between(peer):
    event = {**NOTHING, "keys": [world.mark_of(ROW, 2)], "cause": "api"}
    peer.copies.drop({**event, "keys": [world.mark_of(ROW, 3)]})
    peer.copies.drop(event)
    peer.copies.flush()
    peer.copies.drop(event)
    assert not peer.totals()[0]["repeated"]
    peer.copies.drop(event)
    total, wrong = peer.totals()
    assert total["repeated"] == 1 and wrong
    peer.copies.lost_at = lambda: peer.copies.clock() - 1
    peer.copies.drop(event)
    assert peer.totals()[0]["repeated"] == 1


def test_a_copy_that_is_old_at_rest_is_stale(peer):
    live = {LIVE: world.live_text(LIVE, None)}
    peer.copies.held[LIVE] = live[LIVE]
    peer.compare(live)
    assert not peer.counts["stale at rest"] and peer.counts["copies at rest"] == peer.counts["live at rest"] == 1
    peer.database.write([ROW])
    peer.compare(live)
    assert peer.counts["stale at rest"] == 1
    peer.compare({LIVE: world.live_text(LIVE, b"another")})
    assert peer.counts["stale at rest"] == 3


def test_a_copy_of_another_row_or_of_the_future_is_garbled(peer):
    for text in (world.text_of(OTHER, 1), world.text_of(ROW, 2), ""):
        peer.copies.held[ROW] = text
        peer.read(ROW)
    assert peer.counts["garbled"] == 3


def test_what_an_invalidation_names_are_the_rows_that_were_written():
    rng, seen = random.Random(1), set()
    for _ in range(200):
        rows, body = bus_calls.choose(rng, 3)
        event = {**NOTHING, **body}
        touched = {row for row in range(world.ROWS) if touches(event, row)}
        assert touched == set(rows)
        seen |= set(body)
    assert seen == set(NOTHING)


@pytest.mark.parametrize("other_id, losses, wrong", [(False, 0, False), (True, 0, True), (True, 2, False),
                                                     (True, 1, False)])
def test_a_delivery_that_comes_again_must_be_answered_as_the_first(tmp_path, monkeypatch, other_id, losses, wrong):
    database, ids = world.Database(tmp_path), ["1-1", "2-2" if other_id else "1-1"]
    caller = bus_hooks.ByWebhook(database, random.Random(1), 3)
    monkeypatch.setattr(bus_hooks, "AGAIN", 1)

    def attempt(_body, _key):
        if len(ids) == 1:
            database.losses[0] += losses
        return False, ids.pop(0)

    monkeypatch.setattr(caller, "attempt", attempt)
    if wrong:
        with pytest.raises(bus_hooks.Refused):
            caller.invalidate_one(world.FIRST_HOOK)
    else:
        caller.invalidate_one(world.FIRST_HOOK)
    assert not ids and database.accepted() == 1


@pytest.mark.parametrize("name", [*bus_run.AT_LEAST, *bus_run.NEVER, "accepted", "fault"])
def test_a_run_fails_when_something_did_not_happen_or_should_not_have(name):
    asked = type("Asked", (), {"only": None, "invalidations": 50})
    total = Counter({**bus_run.AT_LEAST, "accepted": 50})
    assert bus_run.failures_of(asked, {"fault": 1}, total) == []
    total[name] += 1 if name in bus_run.NEVER else -1
    assert len(bus_run.failures_of(asked, {"fault": int(name != "fault")}, total)) == 1
