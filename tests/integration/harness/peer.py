"""A peer of the invalidation bus: its feed, and what it confirms."""

import json
import threading

from . import http
from .sse import Closed, Event, Stream


class Peer:
    """`ack`: confirms every event that has an id, by `via` (an address; the feed's own at first)."""

    def __init__(self, gateway, name, last_id=None, echo=False, headers=()):
        self.name, self.address, self.via, self.headers = name, gateway.address, gateway.address, dict(headers)
        target = f"/invalidations?peer={name}" + ("&echo=1" if echo else "")
        more = {"Last-Event-ID": last_id} if last_id else {}
        self.stream = Stream(self.address, target, {**self.headers, **more})
        assert self.stream.status == 200, self.stream.response
        gateway.streams.append(self.stream)
        self.session, self.last_id, self.hello = None, last_id, None
        self.stopping, self.thread, self.got = threading.Event(), None, []

    def next(self, timeout=5.0):
        """The next event, but `head`."""
        while True:
            event = self.event(timeout)
            if event.event != "head":
                return event

    def event(self, timeout=5.0):
        event = self.stream._find(lambda i: isinstance(i, Event), timeout)
        if event.event == "hello":
            self.hello = event.json()
            self.session = self.hello["session"]
        if event.id:
            self.last_id = event.id
        return event

    def begin(self, resumed=False):
        """Reads hello, and the flush that follows it where nothing is resumed."""
        hello = self.event()
        assert hello.event == "hello" and hello.json()["resumed"] is resumed, hello
        assert (hello.id is None) is resumed
        if not resumed:
            flush = self.event()
            assert (flush.event, flush.json()) == ("flush", {"reason": "start"})
            assert flush.id == hello.id == hello.json()["id"]
        return self

    def ack(self, ident=None, **more):
        body = {"session": self.session, "id": ident or self.last_id, **more}
        return http.request(self.via, "POST", "/invalidations/ack", self.headers, body)

    def follow(self):
        """Begins, and from then on confirms everything on a thread of its own."""
        self.begin()
        assert self.ack().status == 200
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()
        return self

    def _follow(self):
        while not self.stopping.is_set():
            try:
                event = self.event(0.1)
            except TimeoutError:
                continue
            except (Closed, OSError, ValueError):
                return
            self.got.append(event)
            if event.id:
                self.ack()

    def freeze(self):
        """It goes on being connected, and confirms nothing more."""
        self.stopping.set()
        self.thread.join(5)

    def close(self):
        if self.thread:
            self.freeze()
        self.stream.close()


def settle(gateway, redis):
    """
    As if this Redis had run for longer than a lease: before that it cannot know whether it is new or
    has been emptied, so nobody is told that all peers have confirmed.
    """
    assert invalidate(gateway, keys=["settle"]).status == 200
    redis.cli("HINCRBY", "sluice:clock", "whole", -20_000_000)


def invalidate(gateway, query="", headers=(), **body):
    return gateway.post("/invalidate" + query, json.dumps(body), headers)
