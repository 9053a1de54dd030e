"""
Who knows nothing of the bus: changes live rows by plain commands of Redis, of which the gateways are told by
Redis's tracking. Behind some changes, in a turn of Redis of its own, comes a mark, a key by which
a peer knows that it has been told of the change before.
"""

import random
import threading
import time
from collections import Counter

from harness.resp import RedisError, Resp

from . import bus_world as world
from .publishers import GIVE_UP_SECONDS, Refused

# So slow that all of the time in which a recorder may be found dead fits into one announcement.
PAUSE = 0.04
MARKED = 0.4
SHORT_MS = (50, 1500)  # a row's life when it is told to expire
MARK_SECONDS, FENCE_PAUSE = 20, 0.3


class LiveWriter(threading.Thread):
    def __init__(self, database, seed, socket_path):
        super().__init__(daemon=True)
        self.database, self.path = database, socket_path
        self.rng = random.Random(f"{seed}/live")
        self.over, self.still = threading.Event(), threading.Event()
        self.redis, self.counts, self.failed = None, Counter(), None

    def run(self):
        try:
            while not self.over.is_set():
                self._change(self.rng.choice(world.LIVE))
                time.sleep(self.rng.expovariate(1 / PAUSE))
            time.sleep(SHORT_MS[1] / 1000 + 0.2)
            self._insist("MGET", *map(world.name_of, world.LIVE))  # what has expired goes when it is asked for
            while True:
                self._mark(world.FENCE)
                self.still.set()
                time.sleep(FENCE_PAUSE)
        except Refused as why:
            self.failed = str(why)

    def _change(self, row):
        kind, name = self.rng.choices(["SET", "DEL", "PEXPIRE"], [70, 20, 10])[0], world.name_of(row)
        self.counts["live writes"] += 1
        if kind == "PEXPIRE":
            self._insist(kind, name, self.rng.randrange(*SHORT_MS))
            return
        version = self.database.write([row])[row]
        self._insist(kind, name, *[world.text_of(row, version)] * (kind == "SET"))
        if self.rng.random() < MARKED:
            self._insist("SET", world.mark_of(row, version), "", "EX", MARK_SECONDS)
        if self.rng.random() < 0.01:
            self._insist("PUBLISH", "__redis__:invalidate", name)  # which means nothing

    def _mark(self, row):
        self._insist("SET", world.mark_of(row, self.database.write([row])[row]), "", "EX", MARK_SECONDS)

    def _insist(self, *command):
        end = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                self.redis = self.redis or Resp(self.path, 3)
                return self.redis.call(*command)
            except (OSError, RedisError, ValueError) as why:
                if self.redis:
                    self.redis.close()
                self.redis = None
                if time.monotonic() > end:
                    raise Refused(f"{command} was not answered in {GIVE_UP_SECONDS} s: {why!r}") from why
            time.sleep(self.rng.uniform(0.02, 0.2))

    def finish(self):
        """No row changes any more; returns the number of a fence that stands behind the last change."""
        self.over.set()
        if not self.still.wait(GIVE_UP_SECONDS) or self.failed:
            raise Refused(self.failed or "live rows do not come to rest")
        return self.database.version[world.FENCE]
