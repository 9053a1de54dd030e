"""
Tags of more members than one call may delete, and calls of more names than one call should have. A large tag is
announced when all of its members are deleted, later than what comes with it: so its
versions are told by no marks, and only who was told that all have confirmed knows of them.
"""

import json
import threading
import time

from harness import http
from harness.resp import RedisError, Resp

from . import bus_calls, bus_world, world

PAD = 4000  # members in one SADD
LOOK_SECONDS = 5
MEMBERS = (5100, 6000, 30000)


def pad(redis, tag, members):
    """Gives the tag that many members beside those that it has; most of them are keys that there are not."""
    names = [f"pad:{tag}:{n}" for n in range(members)]
    redis.pipeline([["SADD", f"tag:{tag}", *names[at:at + PAD]] for at in range(0, members, PAD)])
    redis.pipeline([["SET", name, "x"] for name in names[::50]])


class ByLarge(bus_calls.ByHttp):
    def __init__(self, database, rng, cell, socket_path):
        super().__init__(database, rng, cell)
        self.path = socket_path

    def invalidate_large(self, group, wait_ms):
        rows = list(bus_world.rows_of(group))
        if self.rng.random() < 0.3:
            return self.call(self.database.write(rows), self._many(rows), wait_ms)
        tag = bus_world.tag_of(rows[0])
        try:
            redis = Resp(self.path, 3)
            try:
                pad(redis, tag, self.rng.choice(MEMBERS))
            finally:
                redis.close()
        except (OSError, RedisError, ValueError):
            self.counts["not padded"] += 1
        return self.call(self.database.write(rows), {"tags": [tag]}, wait_ms)

    @staticmethod
    def _many(rows):
        """Those that count come last."""
        return {"keys": [f"nobody:{n}" for n in range(bus_world.SLICE_NAMES + 500)] +
                [bus_world.name_of(row) for row in rows]}


class Torn:
    """
    The invalidation of a large tag by a gateway that is killed while it deletes the members. Nobody asks
    again: what Redis has noted is for any gateway to finish.
    """

    def __init__(self, database, rng, cell, redis):
        self.database, self.rng, self.redis = database, rng, redis
        self.again = bus_calls.ByHttp(database, rng, cell)
        self.group = bus_world.TORN_GROUP
        self.tag = bus_world.tag_of(bus_world.rows_of(self.group)[0])

    def tear(self, i, members, kill):
        """Whether it could be killed in the middle; if not, the invalidation is made as any other."""
        versions = self.database.write(bus_world.rows_of(self.group))
        body, link, torn = {"tags": [self.tag]}, None, False
        try:
            link = Resp(self.redis.socket, 5)
            pad(link, self.tag, members)
            torn = self._tear(link, i, body, kill)
        except (OSError, RedisError, ValueError):
            torn = False  # Redis is hurt, too
        finally:
            if link:
                link.close()
        if torn:
            self.again.made += 1
        else:
            self.again.call(versions, body)
        return torn

    def _tear(self, link, i, body, kill):
        before = self._put_aside(link)
        asking = threading.Thread(target=self._ask, daemon=True,
                                  args=(world.GATEWAYS[i], body, f"{self.again.cell}-{self.again.made + 1}"))
        asking.start()
        found = self._wait_put_aside(link, asking, before)
        if found:
            kill()
        asking.join()
        return bool(found) and found in self._put_aside(link)

    @staticmethod
    def _ask(address, body, key):
        try:
            http.request(address, "POST", "/invalidate", {"Idempotency-Key": key}, json.dumps(body).encode())
        except (OSError, ConnectionError, AssertionError, ValueError):
            pass  # as it should

    def left(self):
        """What is put aside of it by now."""
        link = Resp(self.redis.socket, 5)
        left = self._put_aside(link)
        link.close()
        return left

    def _put_aside(self, link):
        """The ids under which the tag is put aside."""
        flat = link.call("HGETALL", "sluice:pending")
        return {ident for ident, event in zip(flat[::2], flat[1::2]) if self.tag.encode() in event}

    def _wait_put_aside(self, link, asking, before):
        end = time.monotonic() + LOOK_SECONDS
        while time.monotonic() < end and asking.is_alive():
            if found := self._put_aside(link) - before:
                return found.pop()
        return None
