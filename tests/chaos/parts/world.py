"""What all processes of a run agree on: names, addresses, and what a message looks like."""

import re

GATEWAYS = (("127.0.0.1", 8081), ("127.0.0.1", 8082))
REDIS_PORT = 6379
REDIS_HOSTS = ("127.0.0.2", "127.0.0.3")  # one a gateway, so that each can be cut off alone
HISTORY = {"messages": 200000, "seconds": 3600}
NAMESPACES = [{"match": "d.*", "history": HISTORY}, {"match": "*"}]

GROUPS = "abc"
CHANNELS = [f"d.{group}.{n}" for group in GROUPS for n in range(8)]
# Some are hot, and some so quiet that a lost message has no successor that would betray it.
WEIGHTS = [max(1, 200 >> n) for _ in GROUPS for n in range(8)]
PATTERNS = [f"d.{group}.*" for group in GROUPS]
EPHEMERAL = ["e.0", "e.1"]

SILENCE_SECONDS = 5  # a client that hears nothing for so long takes the connection for dead
HEARTBEAT_SECONDS = 1


def us(text):
    """An event id as a number."""
    ms, rest = text.split("-")
    return int(ms) * 1000 + int(rest)


def text_of(serial, size):
    """A message's data: the serial says which it is, two lines and filler make it long."""
    return f"{serial}\n{'x' * size}" if size else serial


_long = re.compile(rb"x{64,}")


def compact(data):
    """Filler by its length, so that minutes of records fit on a disk."""
    return _long.sub(lambda m: b"x*%d" % len(m[0]), data)


def topics_match(channels, patterns, channel):
    """Patterns here are all a prefix and one star."""
    return channel in channels or any(channel.startswith(p[:-1]) for p in patterns)
