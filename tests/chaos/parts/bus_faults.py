"""
What can happen while peers keep copies: the faults of faults.py that concern them, and some of their own.
After Redis has ended nobody is told for a lease's time that all have confirmed, so the faults that end it
come together. So do those at which tracking is lost: then all peers flush, and what they have kept wrongly
is gone unseen. Between them is a longer time in which all can confirm and nobody flushes.
"""

import json
import signal
import time

from . import bus_world, faults
from .faults import (clock_stepped, connections_killed, gateway_drained, gateway_killed, partition, redis_frozen,
                     redis_killed, redis_restarted, tunnel)

LISTEN_SECONDS = 10  # by then a gateway listens again, whatever was before


FOLLOWED_SECONDS = 8  # then a gateway knows of all that the recorder may not have announced
TORN_MEMBERS = (50000, 50000, 100000, 100000, 200000)


def redis_emptied(stage, _rng):
    """It loses its history, the peers' leases and the shared copies: all peers are told to flush."""
    with stage.database.losing():
        stage.lose_redis()
    return True


def redis_flushed(stage, _rng):
    """The same, while it goes on and all remain connected."""
    with stage.database.losing():
        stage.redis.cli("FLUSHALL")
    return True


def tracking_killed(stage, rng):
    """Of a gateway's two connections that track, one ends, or both do; of one gateway or of all."""
    most, which = rng.choice([1, 2]), rng.choice([("listens",), ("tracks",), ("listens", "tracks")])
    end, killed = time.monotonic() + LISTEN_SECONDS, 0
    while not killed and time.monotonic() < end:
        for pair in stage.tracking_pairs()[:most]:  # Redis is hurt by this lane only
            killed += sum(stage.redis.cli("CLIENT", "KILL", "ID", pair[each]) for each in which)
        time.sleep(0.05)
    return killed > 0


def recorder_killed(stage, rng):
    """
    The gateway that announces what tracking sees dies, and does not announce what came in its last moments. Where
    the other has followed for long enough it announces that in its place; else it has to say flush.
    """
    end = time.monotonic() + 2 * LISTEN_SECONDS
    while time.monotonic() < end:
        patient = time.monotonic() < end - LISTEN_SECONDS
        i = stage.recorder()
        if i is None or (patient and stage.tracked_seconds() < FOLLOWED_SECONDS):
            time.sleep(0.1)
            continue
        stage.read_counters(i)
        stage.gateways[i].child.send_signal(signal.SIGSTOP)
        time.sleep(rng.uniform(0.3, 2))
        stage.end_gateway(i)
        time.sleep(rng.choice([0.2, 2, 5]))
        stage.start_gateway(i)
        return True
    return False


def tag_torn(stage, rng):
    """A gateway is killed while it deletes the members of a large tag, and nobody asks for that again."""
    i = rng.randrange(len(stage.gateways))
    for members in TORN_MEMBERS:
        stage.await_redis(i, LISTEN_SECONDS)
        torn = stage.torn.tear(i, members, lambda: stage.kill_gateway(i))
        if not stage.gateways[i].alive():
            time.sleep(rng.uniform(0.1, 1.5))
            stage.start_gateway(i)
        if torn:
            return True
    return False


def tiny_buffer(stage, rng):
    """Redis hangs up on whoever listens at an announcement that does not fit its static buffer."""
    name, said = "client-output-buffer-limit", "overcoming of output buffer limits"
    before = stage.redis_log().count(said)
    stage.redis.cli("CONFIG", "SET", name, "pubsub 1024 1024 1")
    end, bit = time.monotonic() + rng.uniform(0.5, 1.5), False
    while (now := time.monotonic()) < end or (not bit and now < end + LISTEN_SECONDS):
        names = [f"nobody:{n}:" + "x" * 100 for n in range(300)]
        stage.redis.cli("FCALL", "sluice_invalidate", 1, "sluice:", json.dumps({"keys": names}))
        time.sleep(0.2)
        bit = stage.redis_log().count(said) > before
    stage.redis.cli("CONFIG", "SET", name, "pubsub 32mb 8mb 60")
    return bit


def notices_denied(stage, rng):
    """Some invalidations come from a user of Redis who may not announce them."""
    stage.publishers.tell(f"mute {rng.uniform(1.0, 2.5)}")
    time.sleep(2.0)
    return True


def freeze(stage, rng, seconds):
    child = rng.choice(stage.households).child
    child.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    child.send_signal(signal.SIGCONT)
    return True


def peers_frozen(stage, rng):
    """Past their lease: nobody waits for them any longer, and they must not serve what they have."""
    return freeze(stage, rng, bus_world.LEASE_SECONDS + rng.uniform(1, 3))


def peers_dozing(stage, rng):
    """Within their lease: who waits for all waits for them."""
    return freeze(stage, rng, rng.uniform(0.5, 5))


def peers_leave(stage, rng):
    """They say that they end, and so nobody waits for them; they come back with what they knew, or without."""
    share, seconds = rng.uniform(0.3, 0.8), rng.uniform(1, 6)
    for home in stage.households:
        home.tell(f"leave {share} {seconds}")
    time.sleep(seconds)
    return True


def peers_cut(stage, rng):
    share = rng.uniform(0.3, 1.0)
    for home in stage.households:
        home.tell(f"cut {share}")
    return True


LANES = (
    ((redis_restarted, redis_killed, redis_emptied, redis_flushed),
     (connections_killed, tracking_killed, tiny_buffer, partition),
     (redis_frozen, clock_stepped, notices_denied)),
    ((gateway_killed, gateway_drained, tunnel, tag_torn), (recorder_killed,)),
    ((peers_dozing, peers_cut), (peers_frozen,), (peers_leave,)),
)
NAMES = [fault.__name__ for lane in LANES for kinds in lane for fault in kinds]


class Lane(faults.Lane):
    """Its groups one after the other, each in a random order; the next time from the last to the first."""

    direction = -1

    def order(self):
        self.direction = -self.direction
        for kinds in LANES[self.number][::self.direction]:
            here = [fault for fault in kinds if fault in self.kinds]
            yield from self.rng.sample(here, len(here))
