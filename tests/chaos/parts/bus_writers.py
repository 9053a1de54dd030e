"""
Those who invalidate and are no peers. Each has rows of its own.

    python3 -m parts.bus_writers DIRECTORY SEED REDIS_SOCKET

Obeys lines on standard input: `mute SECONDS` some of what goes straight to Redis cannot be announced; `finish`
ends them, invalidates once more until all peers have confirmed, and says `finished ID` and counts.
"""

import json
import random
import sys
import threading
import time
from collections import Counter

from . import bus_calls
from . import bus_world as world
from .publishers import GIVE_UP_SECONDS, Refused

WAITING = {0: 0.0, 1: 0.0, 2: 0.0, 3: 0.7, 4: 1.0}  # what share of a writer's calls waits
PATIENT = 5      # this one waits until every lease may have lapsed
PATIENT_MS = 20000
BY_FCALL = 2
PAUSE = 0.005
LAST_SECONDS = 60


class Writer(threading.Thread):
    def __init__(self, number, caller, over):
        super().__init__(daemon=True)
        self.number, self.caller, self.over = number, caller, over
        self.groups = [g for g in range(world.PEERS, world.GROUPS) if g % 6 == number]
        self.failed = None

    def wait_ms(self):
        if self.number == PATIENT:
            return PATIENT_MS
        wanted = self.caller.rng.random() < WAITING[self.number]
        return self.caller.rng.choice(bus_calls.TIMEOUTS_MS) if wanted else 0

    def run(self):
        rng = self.caller.rng
        try:
            while not self.over.is_set():
                self.caller.invalidate(rng.choice(self.groups), self.wait_ms())
                time.sleep(rng.expovariate(1 / PAUSE))
        except Refused as why:
            self.failed = str(why)


class Writers:
    def __init__(self, directory, seed, socket_path):
        self.database = world.Database(directory)
        self.over, self.mute_until = threading.Event(), 0.0
        self.threads = []
        for number in range(PATIENT + 1):
            rng = random.Random(f"{seed}/writer/{number}")
            common = (self.database, rng, f"w{number}")
            caller = bus_calls.ByFcall(*common, socket_path, lambda: time.monotonic() < self.mute_until) \
                if number == BY_FCALL else bus_calls.ByHttp(*common)
            self.threads.append(Writer(number, caller, self.over))

    def finish(self):
        self.over.set()
        counts = Counter()
        for thread in self.threads:
            thread.join(GIVE_UP_SECONDS + 10)
            counts.update(thread.caller.counts)
            if thread.failed or thread.is_alive():
                return f"failed {thread.failed}"
        last = bus_calls.ByHttp(self.database, random.Random(0), "last")
        end = time.monotonic() + LAST_SECONDS
        while not last.invalidate(world.PEERS, 5000):
            if time.monotonic() > end:
                return f"failed not all peers confirmed the last invalidation in {LAST_SECONDS} s"
        return f"finished {last.highest} {json.dumps(counts)}"


def main(directory, seed, socket_path):
    writers = Writers(directory, seed, socket_path)
    for thread in writers.threads:
        thread.start()
    for line in sys.stdin:
        order, *rest = line.split()
        if order == "mute":
            writers.mute_until = time.monotonic() + float(rest[0])
        elif order == "finish":
            print(writers.finish(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
