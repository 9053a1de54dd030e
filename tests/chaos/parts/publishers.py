"""
The publishers: each message is tried until it is accepted, always with the same idempotency key, at
either gateway or straight at Redis. What was accepted stands in DIRECTORY/published, a JSON line each.

    python3 -m parts.publishers DIRECTORY SEED REDIS_SOCKET

Says `first ID` when each channel has had its first message. Obeys lines on standard input: `burst SECONDS`
much and large for so long, `mute SECONDS` some come from a user of Redis who may not PUBLISH, so that no
notice goes out; `finish` publishes a last message on each channel and says `finished ID` and counts.
"""

import json
import os
import random
import sys
import threading
import time
from collections import Counter
from urllib.parse import quote

from harness import http
from harness.resp import RedisError, Resp

from . import world

GIVE_UP_SECONDS = 60
RETRY = {408, 429, 500, 502, 503, 504}
HISTORY = [word for item in world.HISTORY.items() for word in item]


class Refused(Exception):
    """An answer that no repetition would cure."""


class Ledger:
    """What was accepted, and what is asked of all publishers; shared by the threads."""

    def __init__(self, directory):
        self.file = open(os.path.join(directory, "published"), "w", encoding="ascii")
        self.lock = threading.Lock()
        self.counts = Counter()
        self.highest = "0-0"
        self.burst_until = self.mute_until = 0.0
        self.over = threading.Event()
        self.failed = None

    def accept(self, via, channel, ident, **message):
        line = json.dumps(dict(message, channel=channel, id=ident, via=via))
        with self.lock:
            self.file.write(line + "\n")
            self.counts[via] += 1
            if world.us(ident) > world.us(self.highest):
                self.highest = ident

    def count(self, what):
        with self.lock:
            self.counts[what] += 1


class Publisher(threading.Thread):
    """One message after the other. A subclass has attempt(channels, message): ids, or an exception."""

    via = None

    def __init__(self, number, seed, ledger, pause):
        super().__init__(daemon=True)
        self.number, self.ledger, self.pause = number, ledger, pause
        self.rng = random.Random(f"{seed}/publisher/{number}")
        self.made = 0

    def message(self, size=None):
        self.made += 1
        if size is None:
            size = self.rng.choices([0, self.rng.randrange(1, 200), 20000], [60, 38, 1])[0]
        event = self.rng.choice([None, None, None, "update", "größer"])
        return {"serial": f"s{self.number}-{self.made}", "event": event, "size": size}

    def publish(self, channels, message):
        """Returns when it is accepted; raises when it cannot be."""
        end = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                ids = self.attempt(channels, message)
                break
            except (OSError, ConnectionError, AssertionError, ValueError, RedisError) as why:
                self.close()
                if time.monotonic() > end:
                    raise Refused(f"{message['serial']} was not accepted in {GIVE_UP_SECONDS} s: {why!r}") from why
            self.ledger.count("retried")
            time.sleep(self.rng.uniform(0.02, 0.3))
        for channel, ident in zip(channels, ids):
            self.ledger.accept(self.via, channel, ident, **message)

    def channels(self):
        return self.rng.choices(world.CHANNELS, world.WEIGHTS)

    def run(self):
        try:
            while not self.ledger.over.is_set():
                if time.monotonic() < self.ledger.burst_until:
                    self.publish(self.channels(), self.message(8000))
                    time.sleep(self.pause / 4)
                else:
                    self.publish(self.channels(), self.message())
                    time.sleep(self.rng.expovariate(1 / self.pause))
        except Refused as why:
            self.ledger.failed = str(why)


class ByHttp(Publisher):
    via = "http"
    connection = None

    def channels(self):
        return super().channels() if self.rng.random() < 0.9 else self.rng.sample(world.CHANNELS, 2)

    def attempt(self, channels, message):
        if not self.connection:
            self.connection = http.Connection(self.rng.choice(world.GATEWAYS), 3)
        if len(channels) == 1 and not message["event"]:
            answer = self.connection.request("POST", f"/publish/{quote(channels[0])}?key={message['serial']}",
                                             body=world.text_of(message["serial"], message["size"]).encode())
        else:
            answer = self.connection.request("POST", "/publish", body=self._json(channels, message))
        return self._ids(answer)

    def _json(self, channels, message):
        item = {"channel": channels if len(channels) > 1 else channels[0], "key": message["serial"],
                "data": world.text_of(message["serial"], message["size"])}
        if message["event"]:
            item["event"] = message["event"]
        return json.dumps(item).encode()

    def _ids(self, answer):
        if answer.status in RETRY:
            raise ConnectionError(f"{answer.status} {answer.body[:200]!r}")
        if answer.status != 200:
            raise Refused(f"{answer.status} {answer.body[:200]!r}")
        said = answer.json()
        said = said if isinstance(said, list) else [said]
        if errors := [part["error"] for part in said if "error" in part]:
            raise ConnectionError(errors[0])
        if not all("id" in part for part in said):
            raise Refused(f"no id: {answer.body[:200]!r}")
        return [part["id"] for part in said]

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class ByFcall(Publisher):
    via = "fcall"
    redis = mute = None

    def __init__(self, number, seed, ledger, pause, socket_path):
        super().__init__(number, seed, ledger, pause)
        self.path = socket_path

    def attempt(self, channels, message):
        connection = self._connection()
        event = ["event", message["event"]] if message["event"] else []
        calls = [["FCALL", "sluice_publish", 1, "sluice:", channel, world.text_of(message["serial"], message["size"]),
                  "key", message["serial"], *event, *HISTORY] for channel in channels]
        if len(calls) == 1:
            return [connection.call(*calls[0]).decode()]
        *_, ids = connection.pipeline([["MULTI"], *calls, ["EXEC"]])
        return [i.decode() for i in ids]

    def channels(self):
        return super().channels() if self.rng.random() < 0.9 else self.rng.sample(world.CHANNELS, 2)

    def _connection(self):
        muted = time.monotonic() < self.ledger.mute_until and self.rng.random() < 0.3
        self.via = "mute" if muted else "fcall"
        if not self.redis:
            self.redis = Resp(self.path, 3)
        if muted and not self.mute:
            self.mute = Resp(self.path, 3)
            self.mute.call("AUTH", "mute", "mute")
        return self.mute if muted else self.redis

    def close(self):
        for connection in (self.redis, self.mute):
            if connection:
                connection.close()
        self.redis = self.mute = None


class Ephemeral(Publisher):
    """Plain PUBLISH, on durable channels too: promised at most once, and nothing else."""

    redis = None

    def __init__(self, number, seed, ledger, socket_path):
        super().__init__(number, seed, ledger, 0.1)
        self.path = socket_path

    def run(self):
        while not self.ledger.over.wait(self.pause):
            self.made += 1
            channel = self.rng.choice(world.EPHEMERAL + world.CHANNELS[:4])
            try:
                self.redis = self.redis or Resp(self.path, 3)
                self.redis.call("PUBLISH", channel, f"plain-{self.made}")
                self.ledger.count("plain")
            except (OSError, RedisError):
                self.redis = None


def finish(ledger, threads, last):
    ledger.over.set()
    for thread in threads:
        thread.join(GIVE_UP_SECONDS + 10)
    if ledger.failed:
        return f"failed {ledger.failed}"
    for channel in world.CHANNELS:
        last.publish([channel], last.message(0))
    ledger.file.close()
    return f"finished {ledger.highest} {json.dumps(ledger.counts)}"


def main(directory, seed, socket_path):
    ledger = Ledger(directory)
    first = ByFcall(0, seed, ledger, 0, socket_path)
    for channel in world.CHANNELS:
        first.publish([channel], first.message(0))
    ledger.file.flush()
    print("first", ledger.highest, flush=True)
    threads = [ByHttp(n, seed, ledger, 0.04) for n in range(1, 5)]
    threads += [ByFcall(n, seed, ledger, 0.04, socket_path) for n in range(5, 8)]
    threads.append(Ephemeral(8, seed, ledger, socket_path))
    for thread in threads:
        thread.start()
    for line in sys.stdin:
        order, *rest = line.split()
        if order == "burst":
            ledger.burst_until = time.monotonic() + float(rest[0])
        elif order == "mute":
            ledger.mute_until = time.monotonic() + float(rest[0])
        elif order == "finish":
            print(finish(ledger, threads, ByHttp(9, seed, ledger, 0)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
