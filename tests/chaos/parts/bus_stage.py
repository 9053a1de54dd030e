"""The stage of a bus run: the servers as ever, peers in a few processes, and those who invalidate."""

import json
import os
import random
import shutil
import signal
import time
from collections import Counter

from harness.resp import RedisError, Resp

from . import bus_world as world
from .bus_hooks import WEBHOOKS
from .bus_large import Torn
from .bus_writers import TORN
from .stage import HERE, SETTINGS, Actor, Stage

HOUSEHOLDS = (1, 2, 3, 4, 5, 5)  # how many peers live in each process
CALM_SECONDS = 4  # without faults: many invalidations are confirmed by all, and many reads judged by that
LIBRARY = HERE.parents[2] / "deploy/sluice.lua"


TEAR_SECONDS = 45  # by then some gateway has looked for what another has left


class BusStage(Stage):
    households = ()
    settings = {**SETTINGS, "invalidation": {"tracking": {"prefixes": [world.LIVE_PREFIX]}, "webhooks": WEBHOOKS}}

    def begin(self, seed, careless):
        assert sum(HOUSEHOLDS) == world.PEERS
        self.database = world.Database(self.directory)
        self.torn = Torn(self.database, random.Random(f"{seed}/torn"), world.PEERS + TORN, self.redis)
        self.households, first = [], 0
        for count in HOUSEHOLDS:
            home = Actor(self.directory, "parts.bus_peers", seed, self.redis.socket, first, count, careless)
            self.households.append(home)
            first += count
        self.publishers = Actor(self.directory, "parts.bus_writers", seed, self.redis.socket)
        time.sleep(1)

    def await_redis(self, i, seconds):
        """Until gateway i can do what it is asked, or so long."""
        end = time.monotonic() + seconds
        while self.gateways[i].get("/readyz?strict=1").status != 200 and time.monotonic() < end:
            time.sleep(0.05)

    def recorder(self):
        """Which gateway announces what tracking sees; None: none does."""
        recording = (gateway.metrics().get("sluice_tracking_recorder") for gateway in self.gateways)
        return next((i for i, records in enumerate(recording) if records), None)

    def tracking_pairs(self):
        """The connections by which Redis tells gateways what changes: {"tracks", "listens", "age"} of each."""
        link = Resp(self.redis.socket)  # the stage's own is for one lane alone
        lines = link.call("CLIENT", "LIST").decode().splitlines()
        link.close()
        clients = [dict(word.split("=", 1) for word in line.split(" ") if "=" in word) for line in lines]
        return [{"tracks": client["id"], "listens": client["redir"], "age": int(client["age"])}
                for client in clients if int(client["redir"]) > 0]

    def tracked_seconds(self):
        """For how long all gateways have been told what changes."""
        try:
            pairs = self.tracking_pairs()
        except (OSError, RedisError):
            return 0  # Redis is hurt, too
        return min(pair["age"] for pair in pairs) if len(pairs) == len(self.gateways) else 0

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
        self.await_pending()
        self.publishers.tell("finish")
        last, fence, counts = self.publishers.hear("finished").split(" ", 2)
        total, wrong = Counter(json.loads(counts)), []
        for home in self.households:
            home.tell(f"settle {last} {fence}")
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

    def await_pending(self):
        """What a killed gateway has left half done another finishes."""
        end = time.monotonic() + TEAR_SECONDS
        while left := self.torn.left():
            assert time.monotonic() < end, f"nobody finishes the large tags {left}"
            time.sleep(0.2)

    def compare_shared(self):
        """How many shared copies there are, and which of them are old."""
        database = self.database
        texts = self.redis.cli("MGET", *[world.name_of(row) for row in range(world.ROWS)])
        held = {row: text.decode() for row, text in enumerate(texts) if text is not None}
        return len(held), [f"the shared copy of row {row} is {text!r} and should be {database.version[row]}"
                           for row, text in held.items() if world.version_of(row, text) != database.version[row]]

    def close(self):
        for home in self.households:
            home.child.send_signal(signal.SIGCONT)
            home.close()
        super().close()
