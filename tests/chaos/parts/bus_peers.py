"""
Several peers in one process, so that all of them stop when it is stopped: each with its feed and its local copies,
read all the time. Every read is judged when it is served: never below
the version that all peers, or this one, had confirmed when it began.

    python3 -m parts.bus_peers DIRECTORY SEED REDIS_SOCKET FIRST COUNT CARELESS

Obeys lines on standard input: `cut SHARE` some feeds hang up, `rest` ends their own writing and says `resting`,
`settle ID` waits until each has come to that
id, compares all copies with the database and says `settled` and counts; `end` leaves.
"""

import json
import random
import sys
import threading
import time
from collections import Counter

from harness.resp import RedisError, Resp

from . import bus_calls, world
from . import bus_world as rows
from .bus_copies import Copies
from .bus_feed import Feed
from .publishers import Refused

SETTLE_SECONDS = 60
READS_AT_ONCE, READ_PAUSE = 40, 0.02
WRITE_PAUSE = 0.15
SHOWN = 5


class Source:
    """The shared copy in Redis, and behind it the database."""

    def __init__(self, database, path, rng):
        self.database, self.path, self.rng = database, path, rng
        self.redis, self.counts = None, Counter()

    def fetch(self, row):
        try:
            return self._by_redis(row)
        except (OSError, RedisError, ValueError):
            if self.redis:
                self.redis.close()
            self.redis = None
            self.counts["without Redis"] += 1
            return self._row(row)

    def _row(self, row):
        text = rows.text_of(row, self.database.version[row])
        if self.rng.random() < 0.03:  # a slow query: the invalidation passes meanwhile
            time.sleep(self.rng.choice([0.002, 0.02, 0.1]))
        return text

    def _by_redis(self, row):
        self.redis = self.redis or Resp(self.path, 1)
        name = rows.name_of(row)
        token, shared = self.redis.pipeline([["FCALL", "sluice_token", 1, "sluice:"], ["GET", name]])
        if shared is not None:
            self.counts["shared"] += 1
            return shared.decode()
        text = self._row(row)
        tags = [word for tag in rows.shared_tags(row) for word in ("tag", tag)]
        filled = self.redis.call("FCALL", "sluice_fill", 1, "sluice:", name, token, text, rows.COPY_SECONDS, *tags)
        self.counts["filled" if filled else "fill refused"] += 1
        return text


class Peer:
    def __init__(self, number, database, seed, socket_path, careless):
        rng = random.Random(f"{seed}/peer/{number}")
        self.number, self.database = number, database
        self.copies = Copies(careless=careless)
        self.feed = Feed(number, self.copies, rng)
        self.source = Source(database, socket_path, rng)
        self.caller = bus_calls.ByHttp(database, random.Random(rng.random()), f"p{number}")
        self.counts, self.wrong = Counter(), []
        self.failed = None

    def read(self, row):
        told = self.database.floor[row]
        floor = max(told, self.copies.known.get(row, 0))
        text, ticket = self.copies.get(row)
        kind = "local" if text is not None else "kept" if ticket else "bypassed"
        if text is None:
            text = self.source.fetch(row)
        if ticket:
            self.copies.keep(ticket, text)
        version = rows.version_of(row, text)
        self.counts["reads"] += 1
        if version is None or version > self.database.version[row]:
            self._note("garbled", f"row {row} is {text!r}")
        elif version < floor:
            who = "all had" if told > version else "it has"
            self._note("stale reads", f"row {row}, {kind}: {version} after {who} confirmed {floor}; "
                                      f"at {time.monotonic():.3f}, lease until {self.copies.until:.3f}")

    def write(self):
        """Its own invalidation, which does not come back to it: it drops its own copy before it says so."""
        wait = self.caller.rng.choice([0, 500, 2000])
        self.caller.invalidate(self.number, wait, self._drop_own, origin=self.feed.name)

    def _drop_own(self, body):
        self.copies.drop({"keys": (), "tags": (), "paths": (), "patterns": (), **body})

    def _note(self, what, line):
        self.counts[what] += 1
        if len(self.wrong) < SHOWN:
            self.wrong.append(f"{what}: {self.feed.name} {line}")

    def compare(self):
        """At rest: none of its copies is old."""
        for row, text in list(self.copies.held.items()):
            self.counts["copies at rest"] += 1
            if rows.version_of(row, text) != self.database.version[row]:
                self._note("stale at rest", f"row {row} is {text!r} and should be {self.database.version[row]}")

    def totals(self):
        """Its counts, and what it was told again and again."""
        total = Counter()
        for part in (self, self.copies, self.feed, self.source, self.caller):
            total.update(part.counts)
        total["broken protocol"] = len(self.feed.wrong)
        return total, self.wrong + self.feed.wrong[:SHOWN]


class Household:
    def __init__(self, directory, seed, socket_path, first, count, careless):
        database = rows.Database(directory)
        self.rng = random.Random(f"{seed}/household/{first}")
        self.peers = [Peer(n, database, seed, socket_path, careless) for n in range(first, first + count)]
        self.over, self.quiet = threading.Event(), threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._reads, self._writes)]
        for thread in self.threads:
            thread.start()

    def _reads(self):
        hot = random.Random(self.rng.random())
        while not self.over.is_set():
            peer = hot.choice(self.peers)
            for _ in range(READS_AT_ONCE):
                peer.read(min(hot.randrange(rows.ROWS), hot.randrange(rows.ROWS)))
            time.sleep(READ_PAUSE)

    def _writes(self):
        rng = random.Random(self.rng.random())
        try:
            while not self.quiet.is_set():
                rng.choice(self.peers).write()
                time.sleep(rng.expovariate(1 / WRITE_PAUSE))
        except Refused as why:
            self.peers[0].failed = str(why)

    def cut(self, share):
        for peer in self.peers:
            if self.rng.random() < share:
                peer.feed.cut()

    def rest(self):
        """No more writing."""
        self.quiet.set()
        self.threads[1].join(SETTLE_SECONDS + 10)

    def settle(self, wanted):
        end = time.monotonic() + SETTLE_SECONDS
        while late := [p for p in self.peers if not self._has(p, wanted)]:
            if time.monotonic() > end:
                return "unsettled " + " ".join(f"{p.feed.name}:{p.feed.cursor}" for p in late)
            time.sleep(0.05)
        time.sleep(0.5)  # what is read now may be kept, too
        total, wrong = Counter(), []
        for peer in self.peers:
            peer.compare()
            counts, lines = peer.totals()
            total.update(counts)
            wrong += lines + ([peer.failed] if peer.failed else [])
        return "settled " + json.dumps([total, wrong])

    @staticmethod
    def _has(peer, wanted):
        return peer.feed.cursor and world.us(peer.feed.cursor) >= wanted and peer.copies.holds()

    def end(self):
        self.over.set()
        for peer in self.peers:
            peer.feed.over.set()


def main(directory, seed, socket_path, first, count, careless):
    sys.setswitchinterval(0.001)
    home = Household(directory, seed, socket_path, int(first), int(count), careless)
    for line in sys.stdin:
        order, *rest = line.split()
        if order == "cut":
            home.cut(float(rest[0]))
        elif order == "rest":
            home.rest()
            print("resting", flush=True)
        elif order == "settle":
            print(home.settle(world.us(rest[0])), flush=True)
        elif order == "end":
            break
    home.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
