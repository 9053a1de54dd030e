"""Event streams and requests by the hundred in one thread: one epoll, no waiting but in Loop.until and Loop.spend."""

import select
import socket
import time


class Loop:
    def __init__(self):
        self.epoll, self.handlers = select.epoll(), {}

    def add(self, handler):
        self.handlers[handler.sock.fileno()] = handler
        self.epoll.register(handler.sock.fileno(), select.EPOLLIN)

    def step(self, seconds):
        for number, _ in self.epoll.poll(max(seconds, 0)):
            self.handlers[number].read()

    def spend(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.step(left)

    def until(self, predicate, seconds):
        end = time.monotonic() + seconds
        while not predicate():
            assert time.monotonic() < end, f"not so within {seconds} s"
            self.step(1)

    def close(self):
        for handler in self.handlers.values():
            handler.sock.close()
        self.epoll.close()


def connected(address):
    sock = socket.create_connection(address, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Listener:
    """One stream: take(listener, event, id, data) of each event, with the id as a number or None."""

    def __init__(self, loop, address, target, take):
        self.sock, self.take, self.rest, self.in_body = connected(address), take, b"", False
        self.sock.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n".encode())
        loop.add(self)

    def read(self):
        came = self.sock.recv(65536)
        assert came, "the server closed a stream"
        self.rest += came
        if not self.in_body:
            head, mark, rest = self.rest.partition(b"\r\n\r\n")
            if not mark:
                return
            assert head.startswith(b"HTTP/1.1 200"), head
            self.rest, self.in_body = rest, True
        *blocks, self.rest = self.rest.split(b"\n\n")
        for block in blocks:
            self._event(block.decode())

    def _event(self, block):
        event, event_id, data = None, None, None
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            if name == "id":
                ms, us = value.split("-")
                event_id = int(ms) * 1000 + int(us)
            elif name == "event":
                event = value
            elif name == "data":
                data = value
        if data is not None:
            self.take(self, event, event_id, data)


class Line:
    """A connection kept alive, for one request after the other; further ones wait in the socket."""

    def __init__(self, loop, address):
        self.loop, self.sock, self.rest, self.open, self.last = loop, connected(address), b"", 0, None
        loop.add(self)

    def begin(self, target, body):
        self.open += 1
        self.sock.sendall(f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                          + body)

    def read(self):
        came = self.sock.recv(65536)
        assert came, "the server closed a connection"
        self.rest += came
        while b"\r\n\r\n" in self.rest:
            head, _, rest = self.rest.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            if len(rest) < length:
                return
            assert head.startswith(b"HTTP/1.1 2"), self.rest
            self.last, self.rest = rest[:length], rest[length:]
            self.open -= 1

    def post(self, target, body):
        """Begins one, and waits for the answers to all that are open; returns the last one's body."""
        self.begin(target, body)
        self.loop.until(lambda: not self.open, 20)
        return self.last
