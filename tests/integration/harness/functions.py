"""The library of durable messages as callers see it, by FCALL or by EVALSHA."""

import functools
import subprocess

from .gateway import binary
from .process import clean_env
from .resp import Resp

FORMS = ("FCALL", "EVALSHA")


@functools.lru_cache(maxsize=None)
def library(*words):
    """What `sluice functions` prints."""
    done = subprocess.run([binary(), "functions", *words], env=clean_env(), capture_output=True,
                          timeout=10, check=True)
    return done.stdout


def us(event_id):
    """An id as the number it stands for."""
    ms, rest = event_id.split(b"-")
    assert len(rest) <= 3
    return int(ms) * 1000 + int(rest)


def text(number):
    return b"%d-%d" % (number // 1000, number % 1000)


class Functions:
    """Functions(redis, "FCALL"): loads the library; after a restart load() again, as scripts are lost."""

    def __init__(self, redis, form):
        self.redis = redis
        self.form = form
        self.load()

    def load(self):
        if self.form == "FCALL":
            self.redis.cli("FUNCTION", "LOAD", "REPLACE", library())
        else:
            self.sha = self.redis.cli("SCRIPT", "LOAD", library("--script"))

    def words(self, name, *args):
        if self.form == "FCALL":
            return ("FCALL", name, 1, "sluice:", *args)
        return ("EVALSHA", self.sha, 1, "sluice:", name, *args)

    def call(self, name, *args):
        return self.redis.cli(*self.words(name, *args))

    def publish(self, channel, data, **fields):
        """The id as a number."""
        words = [word for field in fields.items() for word in field]
        return us(self.call("sluice_publish", channel, data, *words))

    def beat(self, channel="sluice:beat:test"):
        return self.call("sluice_beat", channel)

    def hello(self, epoch=b"", boot=b"", highest=0):
        return Hello(self.call("sluice_hello", epoch, boot, text(highest)))

    def changed(self, after=0, limit=1000):
        """(pruned, [(channel, id), ...])"""
        pruned, *pairs = self.call("sluice_changed", text(after), limit)
        return us(pruned), [(pairs[i].decode(), us(pairs[i + 1])) for i in range(0, len(pairs), 2)]

    def read(self, channel, after=0, count=1000, size=1 << 20):
        return Slice(self.call("sluice_read", channel, text(after), count, size))


class Hello:
    def __init__(self, reply):
        (self.epoch, self.boot, clock, floor, born, self.longest, verdict, windows) = reply
        self.clock, self.floor, self.born = us(clock), us(floor), us(born)
        self.verdict = verdict.decode()
        ids = [us(word) for word in windows]
        self.windows = list(zip(ids[::2], ids[1::2]))

    def again(self, functions, highest):
        """What the same gateway is answered at its next connection."""
        return functions.hello(self.epoch, self.boot, highest)


class Slice:
    def __init__(self, reply):
        last, lost, self.more, *flat = reply
        self.last, self.lost = us(last), us(lost)
        self.entries = [(us(flat[i]), us(flat[i + 1]), flat[i + 2], flat[i + 3])
                        for i in range(0, len(flat), 4)]

    @property
    def ids(self):
        return [entry[0] for entry in self.entries]


class Listener:
    """A connection that subscribes, by pattern where the name has a '*'."""

    def __init__(self, redis, name):
        self.resp = Resp(redis.socket)
        self.resp.call("PSUBSCRIBE" if "*" in name else "SUBSCRIBE", name)

    def next(self):
        """(channel, payload)"""
        return tuple(self.resp.read()[-2:])

    def close(self):
        self.resp.close()
