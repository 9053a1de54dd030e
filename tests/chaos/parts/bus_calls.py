"""Invalidations as publishers make them: tried again, always with the same key, until one is accepted."""

import json
import time
from collections import Counter

from harness import http
from harness.resp import RedisError, Resp

from . import bus_world
from .publishers import GIVE_UP_SECONDS, RETRY, Refused
from .world import GATEWAYS

TIMEOUTS_MS = (200, 1000, 3000)
FAILED = (OSError, ConnectionError, AssertionError, ValueError, RedisError)


def choose(rng, group, patterns=True):
    """Rows of that group, and the body that names them."""
    rows = list(bus_world.rows_of(group))
    kind = rng.choices(["key", "keys", "path", "tag", "pattern"], [55, 15, 15, 10, 5 if patterns else 0])[0]
    if kind == "tag":
        return rows, {"tags": [bus_world.tag_of(rows[0])]}
    if kind == "pattern":
        return rows, {"patterns": [f"row:{group}:*"]}
    rows = rng.sample(rows, 1 if kind in ("key", "path") else rng.randrange(2, 6))
    if kind == "path":
        return rows, {"paths": [bus_world.path_of(rows[0])]}
    return rows, {"keys": [bus_world.name_of(row) for row in rows]}


class Caller:
    """Writes to the database, then invalidates. `cell`: a number that no other caller has."""

    patterns = True

    def __init__(self, database, rng, cell):
        self.database, self.rng, self.cell = database, rng, cell
        self.made, self.counts = 0, Counter()
        self.highest = "0-0"
        self.connection = None
        self.wait_ms = 0

    def invalidate(self, group, wait_ms=0, before_floor=None, **more):
        """Returns whether all have confirmed."""
        rows, body = choose(self.rng, group, self.patterns)
        versions = self.database.write(rows)
        marks = [bus_world.mark_of(row, version) for row, version in versions.items()]
        body = {**body, "keys": body.get("keys", []) + marks}
        return self.call(versions, {**body, **more}, wait_ms, before_floor)

    def call(self, versions, body, wait_ms=0, before_floor=None):
        """Invalidates what was written, until that is accepted."""
        self.made, self.wait_ms = self.made + 1, wait_ms
        whole, ident = self.insist(body, f"{self.cell}-{self.made}")
        if before_floor:
            before_floor(body)
        if whole:
            self.database.raise_floor(versions)
        self.counts["accepted"] += 1
        self.database.made[self.cell] += 1
        if wait_ms:
            self.counts["confirmed by all" if whole else "pending"] += 1
        self.highest = ident
        return whole

    def insist(self, body, key):
        end = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                return self.attempt(body, key)
            except FAILED as why:
                self.close()
                if time.monotonic() > end:
                    raise Refused(f"{key} was not accepted in {GIVE_UP_SECONDS} s: {why!r}") from why
            self.counts["retried"] += 1
            time.sleep(self.rng.uniform(0.02, 0.3))

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class ByHttp(Caller):
    def post(self, target, headers, body):
        if not self.connection:
            self.connection = http.Connection(self.rng.choice(GATEWAYS), 3)
        self.connection.sock.settimeout(3 + self.wait_ms / 1000)
        answer = self.connection.request("POST", target, headers, body)
        if answer.status in RETRY:
            raise ConnectionError(f"{answer.status} {answer.body[:200]!r}")
        if answer.status not in (200, 202):
            raise Refused(f"{answer.status} {answer.body[:200]!r}")
        return answer, answer.json()

    def attempt(self, body, key):
        query = f"?wait=all&timeout_ms={self.wait_ms}" if self.wait_ms else ""
        answer, said = self.post("/invalidate" + query, {"Idempotency-Key": key}, json.dumps(body).encode())
        self.counts["settling"] += "settling" in said
        self.counts["large tags"] += sum(size > bus_world.LARGE_MEMBERS for size in said["tags"].values())
        self.counts["sliced"] += len(body.get("keys", ())) > bus_world.SLICE_NAMES
        if self.wait_ms and answer.status == 200 and said["pending"]:
            raise Refused(f"200 while some are pending: {said}")
        return bool(self.wait_ms) and answer.status == 200, said["id"]


class ByFcall(Caller):
    """Straight at Redis; while `muted` says so as a user who may not announce anything."""

    patterns = False  # the function announces them, and leaves the copies to whoever can SCAN

    def __init__(self, database, rng, cell, socket_path, muted):
        super().__init__(database, rng, cell)
        self.path, self.muted = socket_path, muted
        self.is_mute = False

    def attempt(self, body, key):
        mute = self.muted() and self.rng.random() < 0.5
        if self.connection and self.is_mute != mute:
            self.close()
        if not self.connection:
            self.connection = Resp(self.path, 3)
            self.is_mute = mute
            if mute:
                self.connection.call("AUTH", "mute", "mute")
        said = json.loads(self.connection.call("FCALL", "sluice_invalidate", 1, "sluice:", json.dumps(body),
                                               "key", key))
        self.counts["muted"] += self.is_mute
        return False, said["id"]
