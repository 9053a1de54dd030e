"""
Those who invalidate and are no peers, or write what is tracked. Each has rows of its own.

    python3 -m parts.bus_writers DIRECTORY SEED REDIS_SOCKET

Obeys lines on standard input: `mute SECONDS` some of what goes straight to Redis cannot be announced; `finish`
ends them, invalidates once more until all peers have confirmed, and says `finished ID FENCE` and counts: whoever
has come to that id and to that fence has been told of everything.
"""

import json
import random
import sys
import threading
import time
from collections import Counter

from . import bus_calls
from . import bus_world as world
from .bus_hooks import ByWebhook
from .bus_large import ByLarge
from .bus_live import LiveWriter
from .publishers import GIVE_UP_SECONDS, Refused

WAITING = {0: 0.0, 1: 0.0, 2: 0.0, 3: 0.7, 4: 1.0}  # what share of a writer's calls waits
PATIENT = 5      # this one waits until every lease may have lapsed
PATIENT_MS = 20000
BY_FCALL = 2
HOOK, LARGE, LAST = 6, 7, 8  # these have a kind of their own
TORN = 9  # and this is used by a fault
PAUSE, HOOK_PAUSE, LARGE_PAUSE = 0.005, 0.03, 0.3
LARGE_WAITS_MS = (0, 300, 1000, 3000)
LAST_SECONDS = 60


class Writer(threading.Thread):
    pause = PAUSE

    def __init__(self, number, caller, over):
        super().__init__(daemon=True)
        self.number, self.caller, self.over = number, caller, over
        self.groups = [g for g in range(world.PEERS, world.FIRST_HOOK) if g % 6 == number]
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
                self.once(rng.choice(self.groups))
                time.sleep(rng.expovariate(1 / self.pause))
        except Refused as why:
            self.failed = str(why)

    def once(self, group):
        self.caller.invalidate(group, self.wait_ms())


class HookWriter(Writer):
    pause = HOOK_PAUSE

    def __init__(self, *args):
        super().__init__(*args)
        self.groups = range(world.FIRST_HOOK, world.FIRST_LARGE)

    def once(self, group):
        self.caller.invalidate_one(group)


class LargeWriter(Writer):
    pause = LARGE_PAUSE

    def __init__(self, *args):
        super().__init__(*args)
        self.groups = range(world.FIRST_LARGE, world.TORN_GROUP)

    def once(self, group):
        self.caller.invalidate_large(group, self.caller.rng.choice(LARGE_WAITS_MS))


class Writers:
    def __init__(self, directory, seed, socket_path):
        self.database = world.Database(directory)
        self.over, self.mute_until = threading.Event(), 0.0
        self.threads = []
        for number in range(PATIENT + 1):
            rng = random.Random(f"{seed}/writer/{number}")
            common = (self.database, rng, world.PEERS + number)
            caller = bus_calls.ByFcall(*common, socket_path, lambda: time.monotonic() < self.mute_until) \
                if number == BY_FCALL else bus_calls.ByHttp(*common)
            self.threads.append(Writer(number, caller, self.over))
        hook = ByWebhook(self.database, random.Random(f"{seed}/hook"), world.PEERS + HOOK)
        large = ByLarge(self.database, random.Random(f"{seed}/large"), world.PEERS + LARGE, socket_path)
        self.live = LiveWriter(self.database, seed, socket_path)
        self.threads += [HookWriter(HOOK, hook, self.over), LargeWriter(LARGE, large, self.over), self.live]

    def finish(self):
        self.over.set()
        counts = Counter()
        for thread in self.threads[:-1]:
            thread.join(GIVE_UP_SECONDS + 10)
            counts.update(thread.caller.counts)
            if thread.failed or thread.is_alive():
                return f"failed {thread.failed}"
        try:
            fence = self.live.finish()
        except Refused as why:
            return f"failed {why}"
        counts.update(self.live.counts)
        last = bus_calls.ByHttp(self.database, random.Random(0), world.PEERS + LAST)
        end = time.monotonic() + LAST_SECONDS
        while not last.invalidate(world.PEERS, 5000):
            if time.monotonic() > end:
                return f"failed not all peers confirmed the last invalidation in {LAST_SECONDS} s"
        return f"finished {last.highest} {fence} {json.dumps(counts)}"


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
