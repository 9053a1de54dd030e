"""
Judges a run from what publishers were told and what clients were given, knowing nothing of the gateway:
every accepted message exactly once in the record of every client that asked for its channel, in rising
order of id over all channels, unless a gap that was told in-band covers it.

    python3 -m parts.oracle DIRECTORY LAST_ID

Prints one JSON object: counts, and the first of what is wrong under `wrong`.
"""

import json
import sys
from bisect import bisect_right
from collections import Counter
from pathlib import Path

from harness.sse import Event, Parser

from . import world

SHOWN = 25  # of what is wrong
NEVER = -1


class Published:
    """Every accepted message by its id, and each channel's ids in order."""

    def __init__(self, path, last):
        self.by_id, self.channels = {}, {c: [] for c in world.CHANNELS}
        self.via, self.doubled = Counter(), []
        for line in Path(path).read_text(encoding="ascii").splitlines():
            message = json.loads(line)
            ident = world.us(message["id"])
            if ident in self.by_id:
                self.doubled.append(f"{message['id']} was given to {message} and {self.by_id[ident]}")
            self.by_id[ident] = message
            self.via[message["via"]] += 1
            if ident <= last:
                self.channels[message["channel"]].append(ident)
        for ids in self.channels.values():
            ids.sort()

    def expected(self, topics, after):
        """The ids above `after` that these channels and patterns ask for."""
        for channel, ids in self.channels.items():
            if topics.match(channel):
                yield from ids[bisect_right(ids, after):]


class Topics:
    def __init__(self, channels, patterns):
        self.channels, self.patterns = channels, patterns

    def match(self, channel):
        return world.topics_match(self.channels, self.patterns, channel)


class Gap:
    def __init__(self, event):
        said = event.json()
        self.said_ids = bool(said.get("from") or event.id)
        self.reason, self.name = said["reason"], said.get("channel") or said.get("pattern")
        self.topics = Topics([said.get("channel")], [said["pattern"]] if "pattern" in said else [])
        self.start = world.us(said["from"]) if said.get("from") else NEVER
        self.end = world.us(event.id) if event.id else NEVER

    def is_durable(self):
        """Without ids it is about plain PUBLISH alone, which durable channels carry too."""
        return self.name.startswith("d.") and self.said_ids

    def is_late(self):
        """Of one message that was found when later ones had gone out: it stays where it is."""
        return self.said_ids and self.end == NEVER

    def covers(self, channel, ident):
        inside = ident == self.start if self.is_late() else self.start < ident <= self.end
        return inside and self.topics.match(channel)


class Record:
    """One client: what it asked for, and all that it was given, connection by connection."""

    def __init__(self, path, published):
        self.published, self.counts, self.wrong = published, Counter(), []
        self.name, self.given, self.gaps = Path(path).name, set(), []
        self.begin = None      # the id behind which it has a right to everything
        self.highest = NEVER   # the highest id of any event so far
        self.where = "before its first connection"
        self._read(Path(path).read_bytes())
        self._find_lost()

    def fail(self, what, why):
        self.counts[what] += 1
        if len(self.wrong) < SHOWN:
            self.wrong.append(f"{what}: {self.name}, {self.where}: {why}")

    def _read(self, data):
        about, *connections = data.split(b"\x01")[1:]
        about = json.loads(about)
        self.topics, self.wrapped = Topics(about["channels"], about["patterns"]), about["wrapped"]
        if about["since"]:
            self.begin = world.us(about["since"])
        for part in connections:
            note, _, stream = part.partition(b"\n")
            self._connection(json.loads(note), stream)

    def _connection(self, note, stream):
        if "refused" in note:
            self.fail("refused", note["refused"])
            return
        self.counts["connections"] += 1
        self.where = f"at {note['t']} on gateway {note['gateway']} from {note['cursor']}"
        self.plain = set()
        for item in Parser().feed(stream):
            if isinstance(item, Event):
                self._event(item)

    def _event(self, event):
        if event.event == "sluice.gap":
            self._gap(event)
        elif event.event.startswith("sluice."):
            self.counts[event.event] += 1
            self._moves(event)
        elif event.id:
            self._message(event)
        else:
            self._ephemeral(event)

    def _moves(self, event):
        """A control event with an id says that everything up to there has been given."""
        if not event.id:
            return
        ident = world.us(event.id)
        if ident < self.highest:
            self.fail("disordered", f"{event} after {self.highest}")
        self._reach(ident, ident)

    def _reach(self, ident, begin):
        if self.begin is None:
            self.begin = begin
        self.highest = max(self.highest, ident)

    def _gap(self, event):
        gap = Gap(event)
        kind = "gaps" if gap.is_durable() else "ephemeral gaps"
        self.counts[kind] += 1
        self.counts[f"{kind} {gap.reason}"] += 1
        if gap.is_durable():
            self.gaps.append(gap)
            self.wrong.append(f"gap: {self.name}, {self.where}: {event}")
        self._moves(event)

    def _message(self, event):
        ident = world.us(event.id)
        self.counts["delivered"] += 1
        if ident in self.given:
            self.fail("repeated", event)
        elif ident <= self.highest:
            self.fail("disordered", f"{event} after {self.highest}")
        self.given.add(ident)
        self._reach(ident, ident - 1)
        self._compare(event, self.published.by_id.get(ident))

    def _compare(self, event, message):
        if not message:
            self.fail("unknown", f"{event} was never accepted under this id")
            return
        if not self.topics.match(message["channel"]):
            self.fail("unasked", f"{event} of {message['channel']}")
        text = world.text_of(message["serial"], message["size"])
        text = world.compact(text.encode()).decode()
        name = message["event"]
        if self.wrapped:
            wanted = {"channel": message["channel"], "event": name, "data": text, "id": event.id}
            same = event.event == "message" and {"event": None, **event.json()} == wanted
        else:
            same = (event.event, event.data) == (name or "message", text)
        if not same:
            self.fail("garbled", f"{event} for {message}")

    def _ephemeral(self, event):
        serial = event.json()["data"] if self.wrapped else event.data
        if serial in self.plain or not serial.startswith("plain-"):
            self.fail("repeated", f"ephemeral {event}")
        self.plain.add(serial)
        self.counts["ephemeral"] += 1

    def _find_lost(self):
        self.where = "in the end"
        if self.begin is None:
            self.fail("lost", "it never had an id")
            return
        for ident in self.published.expected(self.topics, self.begin):
            if ident in self.given:
                continue
            message = self.published.by_id[ident]
            if any(gap.covers(message["channel"], ident) for gap in self.gaps):
                self.counts["excused"] += 1
            else:
                self.fail("lost", f"{message}")


def judge(directory, last):
    published = Published(Path(directory, "published"), last)
    counts, wrong = Counter(), list(published.doubled[:SHOWN])
    counts["doubled"] = len(published.doubled)
    for path in sorted(Path(directory).glob("client-*")):
        record = Record(path, published)
        counts.update(record.counts)
        counts["clients"] += 1
        wrong += record.wrong[:max(3, SHOWN - len(wrong))]
    return {"published": len(published.by_id), "via": published.via, **counts, "wrong": wrong[:4 * SHOWN]}


def main(directory, last):
    print(json.dumps(judge(directory, world.us(last))))


if __name__ == "__main__":
    main(*sys.argv[1:])
