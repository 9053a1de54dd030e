"""
What can happen while peers keep copies: the faults of faults.py that concern them, and some of their own.
After Redis has ended nobody is told for a lease's time that all have confirmed, so the faults that end it
come together; between them is a longer time in which all can confirm while the others go on.
"""

import json
import signal
import time

from . import bus_world, faults
from .faults import (clock_stepped, connections_killed, gateway_drained, gateway_killed, partition, redis_frozen,
                     redis_killed, redis_restarted, tunnel)

LISTEN_SECONDS = 10  # by then a gateway listens again, whatever was before


def redis_emptied(stage, _rng):
    """It loses its history, the peers' leases and the shared copies: all peers are told to flush."""
    stage.lose_redis()
    return True


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


def peers_cut(stage, rng):
    share = rng.uniform(0.3, 1.0)
    for home in stage.households:
        home.tell(f"cut {share}")
    return True


LANES = (
    ((redis_restarted, redis_killed, redis_emptied),
     (redis_frozen, connections_killed, tiny_buffer, partition, clock_stepped, notices_denied)),
    ((gateway_killed, gateway_drained, tunnel),),
    ((peers_frozen,), (peers_dozing, peers_cut)),
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
