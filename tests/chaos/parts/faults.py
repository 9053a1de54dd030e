"""
What can happen to the servers, and when, drawn from the seed. Two lanes go on at the same time, so that
faults of both kinds meet: one for Redis and the way to it, one for the gateways and their clients. A
fault returns when its cause is gone, with whether it really bit.
"""

import random
import signal
import threading
import time
import traceback

from . import world


def gateway_killed(stage, rng):
    i = rng.randrange(len(stage.gateways))
    stage.kill_gateway(i)
    time.sleep(rng.uniform(0.1, 1.5))
    stage.start_gateway(i)
    return True


def gateway_drained(stage, rng):
    i = rng.randrange(len(stage.gateways))
    stage.drain_gateway(i)
    time.sleep(rng.uniform(0.0, 1.0))
    stage.start_gateway(i)
    return True


def clients_stuck(stage, rng):
    """Some stop reading while much is published: more than their sockets and queues hold."""
    seconds = rng.uniform(3, 5)
    stage.clients.tell(f"stuck {seconds}")
    stage.publishers.tell(f"burst {seconds - 0.5}")
    time.sleep(seconds)
    return True


def clients_cut(stage, rng):
    stage.clients.tell(f"cut {rng.uniform(0.3, 1.0)}")
    return True


def tunnel(stage, rng):
    """A gateway's clients hear nothing, and it hears nothing of them."""
    port = rng.choice(world.GATEWAYS)[1]
    stage.cut("tunnel", [f"tcp dport {port}", f"tcp sport {port}"])
    time.sleep(rng.uniform(1.0, world.SILENCE_SECONDS + 1.5))
    return stage.heal("tunnel") > 0


def redis_restarted(stage, rng):
    stage.end_redis(signal.SIGTERM)
    time.sleep(rng.uniform(0.0, 0.8))
    stage.redis.start()
    return True


def redis_killed(stage, rng):
    stage.end_redis(signal.SIGKILL)
    time.sleep(rng.uniform(0.0, 0.8))
    stage.redis.start()
    return True


def redis_frozen(stage, rng):
    stage.redis.stop()
    time.sleep(rng.choice([0.5, 2.0, 4.0]))
    stage.redis.cont()
    return stage.redis.cli("PING") == "PONG"


def connections_killed(stage, rng):
    """Every connection of Redis at once, or only those that listen."""
    killed = 0
    for _ in range(rng.randrange(1, 4)):
        for kind in rng.choice([("normal", "pubsub"), ("pubsub",)]):
            killed += stage.redis.cli("CLIENT", "KILL", "TYPE", kind)
        time.sleep(rng.uniform(0.0, 0.5))
    return killed > 0


def tiny_buffer(stage, rng):
    """Redis hangs up on whoever listens at the first message that does not fit its static buffer."""
    name, said = "client-output-buffer-limit", "overcoming of output buffer limits"
    before = stage.redis_log().count(said)
    stage.redis.cli("CONFIG", "SET", name, "pubsub 1024 1024 1")
    end = time.monotonic() + rng.uniform(0.5, 1.5)
    while time.monotonic() < end:
        stage.redis.cli("PUBLISH", world.EPHEMERAL[0], "plain-" + "x" * 100000 + str(time.monotonic_ns()))
        time.sleep(0.2)
    stage.redis.cli("CONFIG", "SET", name, "pubsub 32mb 8mb 60")
    return stage.redis_log().count(said) > before


def partition(stage, rng):
    """One gateway, or both, cannot reach Redis, and nobody tells them."""
    hosts = rng.choice([world.REDIS_HOSTS[:1], world.REDIS_HOSTS[1:], world.REDIS_HOSTS])
    stage.cut("partition", [f"ip {way} {host} tcp {side} {world.REDIS_PORT}"
                            for host in hosts for way, side in (("daddr", "dport"), ("saddr", "sport"))])
    time.sleep(rng.choice([1.0, 3.0, 6.0]))
    return stage.heal("partition") > 0


def clock_stepped(stage, rng):
    """Redis's wall clock is wrong for a while, by up to half a minute either way."""
    seconds = rng.choice([-1, 1]) * rng.uniform(2, 30)
    before = int(stage.redis.cli("TIME")[0])
    stage.clock.step(seconds)
    bit = abs(int(stage.redis.cli("TIME")[0]) - before) > 1
    time.sleep(rng.uniform(0.5, 2.0))
    stage.clock.step(0)
    return bit


def notices_denied(stage, rng):
    """Some messages are accepted from a user who may not announce them."""
    stage.publishers.tell(f"mute {rng.uniform(1.0, 2.5)}")
    time.sleep(2.0)
    return True


LANES = (
    (redis_restarted, redis_killed, redis_frozen, connections_killed, tiny_buffer, partition, clock_stepped,
     notices_denied),
    (gateway_killed, gateway_drained, clients_stuck, clients_cut, tunnel),
)
NAMES = [fault.__name__ for lane in LANES for fault in lane]


class Lane(threading.Thread):
    """Each kind once in a random order, then again, until the time is over; each kind at least once."""

    def __init__(self, stage, seed, number, kinds, is_over):
        super().__init__(daemon=True)
        self.stage, self.number, self.is_over = stage, number, is_over
        self.rng = random.Random(f"{seed}/lane/{number}")
        self.kinds = kinds
        self.fired = dict.fromkeys((fault.__name__ for fault in self.kinds), 0)
        self.log, self.failure = [], None
        self.done = threading.Event()

    def run(self):
        self._run()
        self.done.set()
        self.stage.over.wait()  # the kernel kills a server when the thread that started it ends

    def _run(self):
        try:
            rounds = 0
            while self.kinds and (not self.is_over() or not rounds):
                for fault in self.order():
                    if rounds and self.is_over():
                        break
                    self._fire(fault)
                rounds += 1
        except Exception:  # whatever it is, the run has failed by it
            self.failure = traceback.format_exc()

    def order(self):
        return self.rng.sample(self.kinds, len(self.kinds))

    def _fire(self, fault):
        began = time.monotonic()
        self.fired[fault.__name__] += bool(fault(self.stage, self.rng))
        self.log.append((round(began, 2), round(time.monotonic(), 2), fault.__name__))
        time.sleep(self.rng.uniform(0.2, 2.0))


def rage(stage, seed, seconds, chosen, lanes=LANES, lane=Lane, enough=None):
    """
    Runs the lanes for `seconds`, or less when it is enough by then; but until every chosen kind has had its
    turn. Returns the lanes.
    """
    end = time.monotonic() + seconds

    def is_over():
        return time.monotonic() >= end or bool(enough and enough())

    lanes = [lane(stage, seed, n, [fault for fault in kinds if fault.__name__ in chosen], is_over)
             for n, kinds in enumerate(lanes)]
    for each in lanes:
        each.start()
    for each in lanes:
        assert each.done.wait(seconds + 90), "a fault does not come to its end"
        assert not each.failure, each.failure
    while not is_over():
        time.sleep(0.1)
    return lanes
