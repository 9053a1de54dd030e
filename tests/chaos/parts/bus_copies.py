"""
The local copies of one peer, as a careful client library of the bus keeps them. A thread reads while
another drops, so all of it is under a lock.

- Copies are served while the lease holds, which is counted from when a confirmation was sent.
- A lease that lapsed before the answer to the next confirmation came is a doubt: who invalidated meanwhile did
  not wait for this peer, and that invalidation may still be on its way. All copies go.
- What is fetched while an invalidation passes is served once and not kept: keep() needs a ticket
  that was taken before the fetch and that no drop has touched.
- Who leaves has no copies and no lease before it says so.
"""

import threading
import time
from collections import Counter
from fnmatch import fnmatchcase

from . import bus_world as world


def touches(event, row):
    """Whether this invalidation is of that row."""
    name = world.name_of(row)
    return name in event["keys"] or world.tag_of(row) in event["tags"] or world.path_of(row) in event["paths"] or \
        any(fnmatchcase(name, pattern) for pattern in event["patterns"])


CARELESS = ("drop", "lease", "ticket", "lapse", "tracked", "leave")


LATE_SECONDS = 5  # an event may take so long from Redis to a peer


class Ticket:
    def __init__(self, row):
        self.row, self.good = row, True


class Copies:
    """`careless`: what it omits, for a run that must fail: one of CARELESS."""

    def __init__(self, clock=time.monotonic, careless=None, lost_at=lambda: 0.0):
        self.clock, self.careless, self.lost_at = clock, careless, lost_at
        self.lock = threading.Lock()
        self.held, self.tickets = {}, set()
        self.known = {}  # the version of a row that the last invalidation of it was of
        self.told, self.wrong = {}, []  # what callers announced since the last flush; and what came twice
        self.flushed = "never"
        self.until = 0.0  # the end of the lease; 0 when there was none yet
        self.counts = Counter()

    def _lapsed(self):
        return self.clock() >= self.until and self.careless != "lease"

    def get(self, row):
        """(text, None) of a copy, or (None, ticket) to fetch with; the ticket is None without a lease."""
        with self.lock:
            if self._lapsed():
                self.counts["bypassed"] += 1
                return None, None
            text = self.held.get(row)
            if text is not None:
                self.counts["served"] += 1
                return text, None
            ticket = Ticket(row)
            self.tickets.add(ticket)
            return None, ticket

    def keep(self, ticket, text):
        with self.lock:
            self.tickets.discard(ticket)
            if text is None:
                return
            if ticket.good or self.careless == "ticket":
                self.held[ticket.row] = text
            else:
                self.counts["raced"] += 1

    def drop(self, event):
        with self.lock:
            self.counts["invalidations"] += 1
            self._note(event)
            if self._omits(event):
                return
            for row in [row for row in self.held if touches(event, row)]:
                del self.held[row]
                self.counts["dropped"] += 1
            for ticket in self.tickets:
                if ticket.good and touches(event, ticket.row):
                    ticket.good = False

    def _omits(self, event):
        tracked = event.get("cause") == "tracking"
        return self.careless == "drop" and self.counts["invalidations"] % 100 == 0 or \
            self.careless == "tracked" and tracked and self.counts["tracked"] % 10 == 0

    def _note(self, event):
        """
        Each invalidation is of a version of its own, unless tracking tells it: a mark's end is told, too. When
        Redis loses everything it forgets which calls it knew: an older version may come late, of a call that was
        under way, and the same again, behind no flush where nothing was missed.
        """
        cause, now = event.get("cause"), self.clock()
        where = f"{event.get('at')} at {now:.3f}"
        for row, version in world.marks_in(event["keys"]).items():
            self.known[row] = max(self.known.get(row, 0), version)
            if cause == "tracking":
                continue
            before, first = self.told.get((row, version), (0.0, None))
            if first and self.lost_at() < before - LATE_SECONDS:
                self.counts["repeated"] += 1
                self.wrong.append(f"repeated: row {row}, version {version}: {first}, then {where}; "
                                  f"the last flush: {self.flushed}")
            self.told[row, version] = (now, where)
        self.counts["tracked"] += len(event["keys"]) * (cause == "tracking")
        self.counts["by webhook"] += cause == "webhook"

    def flush(self, where=None):
        """Redis may have lost which calls it knew. `where`: to be told when something is wrong."""
        with self.lock:
            self.flushed = f"{where} at {self.clock():.3f}"
            self.told.clear()
            self._flush()

    def leave(self):
        with self.lock:
            if self.careless != "leave":
                self._flush()
                self.until = 0.0

    def _flush(self):
        self.held.clear()
        for ticket in self.tickets:
            ticket.good = False

    def renewed(self, sent):
        """A confirmation that was sent at that time has been answered."""
        with self.lock:
            if self._lapsed() and self.careless != "lapse":
                self.counts["lapsed"] += bool(self.until)
                self._flush()
            self.until = max(self.until, sent + world.LEASE_SECONDS)

    def holds(self):
        with self.lock:
            return not self._lapsed()
