"""A Server-Sent Events client that is stricter than any browser: what it does not know, it refuses."""

import contextlib
import json
import socket
import time
from dataclasses import dataclass

from . import http


@dataclass
class Event:
    event: str  # "message" when the stream named none
    data: str
    id: str | None = None

    def json(self):
        return json.loads(self.data)


@dataclass
class Comment:
    text: str


@dataclass
class Retry:
    ms: int


class Closed(Exception):
    """The gateway ended the stream."""


class Parser:
    """Bytes in, items out. Lines must end in LF alone and be valid UTF-8."""

    def __init__(self):
        self.rest = b""
        self._reset()

    def _reset(self):
        self.name, self.id, self.data = None, None, []

    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        items = []
        for line in lines:
            assert b"\r" not in line, f"a CR in the stream: {line!r}"
            item = self._line(line.decode("utf-8", "strict"))
            if item:
                items.append(item)
        return items

    def _line(self, line):
        if line == "":
            return self._dispatch()
        if line.startswith(":"):
            return Comment(line[1:].removeprefix(" "))
        field, colon, value = line.partition(":")
        assert colon, f"a field without a colon: {line!r}"
        return self._field(field, value.removeprefix(" "))

    def _field(self, field, value):
        if field == "retry":
            return Retry(int(value))
        if field == "data":
            self.data.append(value)
        elif field == "event":
            assert self.name is None and value and value != "message", f"event: {value!r}"
            self.name = value
        elif field == "id":
            assert self.id is None and "\0" not in value, f"id: {value!r}"
            self.id = value
        else:
            raise AssertionError(f"unknown field {field!r}")
        return None

    def _dispatch(self):
        name, ident, data = self.name, self.id, self.data
        self._reset()
        if data:
            return Event(name or "message", "\n".join(data), ident)
        assert name is None and ident is None, f"event {name!r} without data"
        return None


class Body:
    """Takes off the chunked coding, when there is one."""

    def __init__(self, chunked):
        self.chunked, self.rest, self.ended = chunked, b"", False

    def feed(self, data):
        if not self.chunked:
            return data
        self.rest += data
        out = b""
        while not self.ended and (line := self.rest.find(b"\r\n")) >= 0:
            size = int(self.rest[:line], 16)
            if len(self.rest) < line + size + 4:
                break
            out += self.rest[line + 2:line + 2 + size]
            self.rest = self.rest[line + size + 4:]
            self.ended = size == 0
        return out


class Stream(http.Held):
    """One GET /events. Nothing runs behind the test's back: bytes are read when it asks for items."""

    def __init__(self, address, target="/events", headers=(), timeout=5.0, receive_buffer=None):
        self.sock = http.connect(address, timeout, receive_buffer)
        self.sock.sendall(http.request_bytes(address, "GET", target, headers))
        self.file = self.sock.makefile("rb", buffering=0)
        self.response = http.read_head(self.file)
        self.status = self.response.status
        chunked = (self.response.header("transfer-encoding") or "").lower() == "chunked"
        self.body, self.parser = Body(chunked), Parser()
        self.waiting, self.seen = [], []
        self.ended = False

    def _fill(self, end):
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"nothing more came; seen so far: {self.seen[-5:]}")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(262144)
        except socket.timeout:
            raise TimeoutError(f"nothing more came; seen so far: {self.seen[-5:]}") from None
        except ConnectionResetError:
            data = b""
        self.waiting += self.parser.feed(self.body.feed(data))
        self.ended = self.ended or not data or self.body.ended

    def next(self, timeout=5.0):
        """The next Event, Comment or Retry."""
        end = time.monotonic() + timeout
        while not self.waiting:
            if self.ended:
                raise Closed(f"seen before the end: {self.seen[-5:]}")
            self._fill(end)
        self.seen.append(self.waiting.pop(0))
        return self.seen[-1]

    def _find(self, wanted, timeout):
        end = time.monotonic() + timeout
        while True:
            item = self.next(max(0.001, end - time.monotonic()))
            if wanted(item):
                return item

    def message(self, timeout=5.0):
        """The next message; comments, retry and control events are passed over."""
        return self._find(lambda i: isinstance(i, Event) and not i.event.startswith("sluice."),
                          timeout)

    def data(self, count, timeout=5.0):
        """The data of the next `count` messages."""
        return [self.message(timeout).data for _ in range(count)]

    def control(self, name, timeout=5.0):
        """The next control event of that name. A message before it is an error of the test."""
        item = self._find(lambda i: isinstance(i, Event), timeout)
        assert item.event == name, f"expected {name}, got {item}"
        return item

    def comment(self, text=None, timeout=5.0):
        return self._find(lambda i: isinstance(i, Comment) and text in (None, i.text), timeout)

    def subscribed(self, timeout=10.0):
        """Waits for `: subscribed` and returns self."""
        self.comment("subscribed", timeout)
        return self

    def is_open(self, seconds=0.05):
        """Whether the peer has not closed; what comes meanwhile is kept."""
        end = time.monotonic() + seconds
        with contextlib.suppress(TimeoutError):
            while not self.ended:
                self._fill(end)
        return not self.ended

    def drain(self):
        """Reads what has come and forgets it."""
        self.is_open(0.01)
        self.waiting.clear()

    def rest(self, timeout=5.0):
        """Everything until the gateway closes the stream, which it must within the timeout."""
        items = []
        end = time.monotonic() + timeout
        try:
            while True:
                items.append(self.next(max(0.001, end - time.monotonic())))
        except Closed:
            return items
