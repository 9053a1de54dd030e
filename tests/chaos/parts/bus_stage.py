"""The stage of a bus run: the servers as ever, peers in a few processes, and those who invalidate."""

import json
import os
import shutil
import signal
import time
from collections import Counter

from . import bus_world as world
from .stage import HERE, Actor, Stage

HOUSEHOLDS = (1, 2, 3, 4, 5, 5)  # how many peers live in each process
CALM_SECONDS = 4  # without faults: many invalidations are confirmed by all, and many reads judged by that
LIBRARY = HERE.parents[2] / "deploy/sluice.lua"


class BusStage(Stage):
    households = ()

    def begin(self, seed, careless):
        assert sum(HOUSEHOLDS) == world.PEERS
        world.Database(self.directory)
        self.households, first = [], 0
        for count in HOUSEHOLDS:
            home = Actor(self.directory, "parts.bus_peers", seed, self.redis.socket, first, count, careless)
            self.households.append(home)
            first += count
        self.publishers = Actor(self.directory, "parts.bus_writers", seed, self.redis.socket)
        time.sleep(1)

    def lose_redis(self):
        """Redis comes back with nothing at all."""
        self.end_redis(signal.SIGKILL)
        shutil.rmtree(os.path.join(self.redis.dir, "appendonlydir"))
        self.redis.start()
        self.redis.cli("FUNCTION", "LOAD", "REPLACE", LIBRARY.read_bytes())

    def settle(self):
        """After the last fault; returns what writers and peers counted, and what peers found wrong."""
        time.sleep(CALM_SECONDS)
        for home in self.households:
            home.tell("rest")
        for home in self.households:
            home.hear("resting")
        self.publishers.tell("finish")
        last, _, counts = self.publishers.hear("finished").partition(" ")
        total, wrong = Counter(json.loads(counts)), []
        for home in self.households:
            home.tell(f"settle {last}")
        for home in self.households:
            counts, lines = json.loads(home.hear("settled"))
            total.update(counts)
            wrong += lines
        total["shared at rest"], old = self.compare_shared()
        total["stale shared"] = len(old)
        for home in self.households:
            home.tell("end")
            home.end()
        for i, gateway in enumerate(self.gateways):
            self.read_counters(i)
            gateway.stop()
        return total, wrong + old

    def compare_shared(self):
        """How many shared copies there are, and which of them are old."""
        database = world.Database(self.directory)
        texts = self.redis.cli("MGET", *[world.name_of(row) for row in range(world.ROWS)])
        held = {row: text.decode() for row, text in enumerate(texts) if text is not None}
        return len(held), [f"the shared copy of row {row} is {text!r} and should be {database.version[row]}"
                           for row, text in held.items() if world.version_of(row, text) != database.version[row]]

    def close(self):
        for home in self.households:
            home.child.send_signal(signal.SIGCONT)
            home.close()
        super().close()
