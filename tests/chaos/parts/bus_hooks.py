"""Invalidations by webhook: signed, and delivered again under the same id, as senders do."""

import hashlib
import hmac
import json
from collections import deque

from . import bus_calls, bus_world
from .publishers import Refused

SECRET = "chaos"
HEADER, DELIVERY = "X-Signature", "X-Delivery"
MARKS = [f"{{marks.{n}}}" for n in range(bus_world.ROWS_IN_GROUP)]
RULES = [{"when": {"kind": "key"}, "keys": ["{name}", MARKS[0]]},
         {"when": {"kind": "path"}, "paths": ["{name}"], "keys": MARKS[:1]},
         {"when": {"kind": "tag"}, "tags": ["group-{group}"], "keys": MARKS},
         {"when": {"kind": "pattern"}, "patterns": ["row:{group}:*"], "keys": MARKS}]
WEBHOOKS = {"cms": {"signature": {"header": HEADER, "prefix": "sha256=", "encoding": "hex", "secret": SECRET},
                    "delivery": {"header": DELIVERY}, "rules": RULES}}
REMEMBERED = 50
AGAIN = 0.3  # what share of deliveries is followed by an old one


class ByWebhook(bus_calls.ByHttp):
    def __init__(self, *args):
        super().__init__(*args)
        self.past = deque(maxlen=REMEMBERED)  # (era, body, key, the id that was answered)

    def invalidate_one(self, group):
        rows, kind = list(bus_world.rows_of(group)), self.rng.choice(["key", "key", "path", "tag", "pattern"])
        if kind in ("key", "path"):
            rows = [self.rng.choice(rows)]
        versions = self.database.write(rows)
        name = bus_world.path_of(rows[0]) if kind == "path" else bus_world.name_of(rows[0])
        marks = [bus_world.mark_of(row, version) for row, version in versions.items()]
        body = {"kind": kind, "name": name, "group": group, "marks": marks}
        era = self.database.era()
        self.call(versions, body)
        self.past.append((era, body, f"{self.cell}-{self.made}", self.highest))
        if self.rng.random() < AGAIN:
            self.deliver_again(self.rng.choice(self.past))

    def deliver_again(self, delivery):
        """The id of the first time is answered, unless Redis may have lost it."""
        era, body, key, first = delivery
        if era is None or self.database.era() != era:
            return
        self.close()  # maybe to the other gateway
        _, ident = self.insist(body, key)
        if self.database.era() == era:
            self.counts["redelivered"] += 1
            if ident != first:
                raise Refused(f"the delivery {key} was {first} and came again as {ident}")

    def attempt(self, body, key):
        raw = json.dumps(body).encode()
        sign = hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
        _, said = self.post("/webhooks/cms", {HEADER: f"sha256={sign}", DELIVERY: key}, raw)
        return False, said["id"]
