"""
Several peers in one process, so that all of them stop when it is stopped: each with its feed and its local copies,
read all the time. Every read is judged when it is served: never below
the version that all peers, or this one, had confirmed when it began.

    python3 -m parts.bus_peers DIRECTORY SEED REDIS_SOCKET FIRST COUNT CARELESS

Obeys lines on standard input: `cut SHARE` some feeds hang up, `leave SHARE SECONDS` some end and come back, `rest` ends
their own writing and says `resting`, `settle ID FENCE` waits until each has come to that
id and fence, compares all copies with the database and says `settled` and counts; `end` leaves.
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
        self.was_slow = False

    def fetch(self, row):
        """None: nobody knows, since a live row is nowhere but in Redis."""
        live = row in rows.LIVE
        try:
            return self._live(row) if live else self._by_redis(row)
        except (OSError, RedisError, ValueError):
            if self.redis:
                self.redis.close()
            self.redis = None
            self.counts["without Redis"] += 1
            return None if live else self._row(row)

    def take_slow(self):
        """Whether the last fetch, since this was asked, took its time."""
        slow, self.was_slow = self.was_slow, False
        return slow

    def _live(self, row):
        self.redis = self.redis or Resp(self.path, 1)
        text = rows.live_text(row, self.redis.call("GET", rows.name_of(row)))
        self.counts["live"] += 1
        self._be_slow()
        return text

    def _row(self, row):
        text = rows.text_of(row, self.database.version[row])
        self._be_slow()
        return text

    def _be_slow(self):
        self.was_slow = self.rng.random() < 0.03
        if self.was_slow:  # a slow query: the invalidation passes meanwhile
            time.sleep(self.rng.choice([0.002, 0.02, 0.1]))

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
        self.copies = Copies(careless=careless, lost_at=database.lost_at)
        self.feed = Feed(number, self.copies, rng)
        self.source = Source(database, socket_path, rng)
        self.caller = bus_calls.ByHttp(database, random.Random(rng.random()), number)
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
        if text is None:
            return
        version = rows.version_of(row, text)
        self.counts["reads"] += 1
        if row in rows.LIVE and text == rows.gone_text(row):
            return  # by whom, and when, nobody has told
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

    def compare(self, live):
        """At rest: none of its copies is old. `live`: what Redis has of live rows."""
        for row, text in list(self.copies.held.items()):
            self.counts["live at rest" if row in rows.LIVE else "copies at rest"] += 1
            wanted = live[row] if row in rows.LIVE else rows.text_of(row, self.database.version[row])
            if text != wanted:
                self._note("stale at rest", f"row {row} is {text!r} and should be {wanted!r}")

    def totals(self):
        """Its counts, and what it was told again and again."""
        total = Counter()
        for part in (self, self.copies, self.feed, self.source, self.caller):
            total.update(part.counts)
        total["broken protocol"] = len(self.feed.wrong)
        return total, self.wrong + self.feed.wrong[:SHOWN] + self.copies.wrong[:SHOWN]


class Household:
    def __init__(self, directory, seed, socket_path, first, count, careless):
        database = rows.Database(directory)
        self.rng = random.Random(f"{seed}/household/{first}")
        self.path = socket_path
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
                row = self._choose(hot)
                peer.read(row)
                if peer.source.take_slow():
                    peer.read(row)  # it should not have been kept, if it was invalidated
            time.sleep(READ_PAUSE)

    @staticmethod
    def _choose(hot):
        """Some rows are read more than others, and those that few write not too seldom."""
        kind = hot.random()
        if kind < 0.15:
            return hot.choice(rows.LIVE)
        if kind < 0.25:
            return hot.randrange(rows.FIRST_HOOK * rows.ROWS_IN_GROUP, rows.ROWS)
        return min(hot.randrange(rows.ROWS), hot.randrange(rows.ROWS))

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

    def leave(self, share, seconds):
        for peer in self.peers:
            if self.rng.random() < share:
                away = (seconds * self.rng.uniform(0.3, 1), self.rng.random() < 0.3)
                threading.Thread(target=peer.feed.leave, args=away, daemon=True).start()

    def rest(self):
        """No more writing."""
        self.quiet.set()
        self.threads[1].join(SETTLE_SECONDS + 10)

    def settle(self, wanted, fence):
        end = time.monotonic() + SETTLE_SECONDS
        while late := [p for p in self.peers if not self._has(p, wanted, fence)]:
            if time.monotonic() > end:
                return "unsettled " + " ".join(f"{p.feed.name}:{p.feed.cursor}:{p.copies.known.get(rows.FENCE)}"
                                               for p in late)
            time.sleep(0.05)
        time.sleep(0.5)  # what is read now may be kept, too
        total, wrong, live = Counter(), [], self._live_rows()
        for peer in self.peers:
            peer.compare(live)
            counts, lines = peer.totals()
            total.update(counts)
            wrong += lines + ([peer.failed] if peer.failed else [])
        return "settled " + json.dumps([total, wrong])

    def _live_rows(self):
        redis = Resp(self.path)
        values = redis.call("MGET", *map(rows.name_of, rows.LIVE))
        redis.close()
        return {row: rows.live_text(row, value) for row, value in zip(rows.LIVE, values)}

    @staticmethod
    def _has(peer, wanted, fence):
        return peer.feed.cursor and world.us(peer.feed.cursor) >= wanted and peer.copies.holds() and \
            peer.copies.known.get(rows.FENCE, 0) >= fence

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
        elif order == "leave":
            home.leave(*map(float, rest))
        elif order == "rest":
            home.rest()
            print("resting", flush=True)
        elif order == "settle":
            print(home.settle(world.us(rest[0]), int(rest[1])), flush=True)
        elif order == "end":
            break
    home.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
