"""Thousands of streams in one place, read with epoll."""

import contextlib
import select
import socket
import time

from . import http
from .sse import Comment, Event, Parser


class Member:
    """One stream of a crowd; `target` stays as the test's label for it."""

    def __init__(self, sock, target):
        self.sock, self.target = sock, target
        self.head, self.parser = b"", Parser()
        self.status = None
        self.items = []
        self.ended = False

    def feed(self, data):
        if self.status is None:
            self.head += data
            if b"\r\n\r\n" not in self.head:
                return
            head, data = self.head.split(b"\r\n\r\n", 1)
            self.status = int(head.split(b" ", 2)[1])
            assert b"transfer-encoding" not in head.lower(), "the crowd reads plain bodies only"
        self.items += self.parser.feed(data)

    def says(self, comment):
        return any(isinstance(i, Comment) and i.text == comment for i in self.items)

    def data(self):
        return [i.data for i in self.items
                if isinstance(i, Event) and not i.event.startswith("sluice.")]


class Crowd:
    """targets: one per stream. Connects in small groups, so that no listen backlog is the limit."""

    def __init__(self, address, targets, group=200, seconds=60):
        self.poll = select.epoll()
        self.members = {}
        end = time.monotonic() + seconds
        targets = list(targets)
        for first in range(0, len(targets), group):
            for target in targets[first:first + group]:
                self._join(address, target)
            self.read_until(lambda: all(m.says("subscribed") for m in self.members.values()),
                            end - time.monotonic(), "every stream to be subscribed")

    def _join(self, address, target):
        sock = http.connect(address, 10)
        sock.sendall(http.request_bytes(address, "GET", target))
        sock.setblocking(False)
        self.members[sock.fileno()] = Member(sock, target)
        self.poll.register(sock, select.EPOLLIN)

    def read(self, seconds):
        """Reads what comes within the time; returns whether anything came."""
        ready = self.poll.poll(max(0, seconds))
        for fd, _ in ready:
            member = self.members[fd]
            try:
                data = member.sock.recv(262144)
            except ConnectionResetError:
                data = b""
            if data:
                member.feed(data)
            else:
                member.ended = True
                self.poll.unregister(fd)
        return bool(ready)

    def read_until(self, predicate, seconds, what):
        end = time.monotonic() + seconds
        while not predicate():
            left = end - time.monotonic()
            assert left > 0, f"waited {seconds:.0f} s for {what}"
            self.read(min(left, 0.2))

    def wait_data(self, count, seconds=30):
        """Until every stream has had `count` messages."""
        self.read_until(lambda: all(len(m.data()) >= count for m in self.members.values()),
                        seconds, f"{count} messages on each of {len(self.members)} streams")

    def __iter__(self):
        return iter(self.members.values())

    def __len__(self):
        return len(self.members)

    def close(self):
        for member in self.members.values():
            with contextlib.suppress(OSError):
                member.sock.shutdown(socket.SHUT_RDWR)
            member.sock.close()
        self.poll.close()
        self.members = {}
