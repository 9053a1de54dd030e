"""
The crowd of the slow-client measurement, in a process of its own so that its work is not the test's:

    python3 -m harness.flood PORT CHANNEL READERS SLEEPERS

Opens SLEEPERS streams that never read and READERS that count bytes, says `joined`, then obeys lines
on standard input: `expect N` waits until every reader has N bytes of stream behind its head and says
`got N SECONDS`; a reader that is closed early ends the process with an error. `end` leaves.
"""

import contextlib
import select
import sys
import time

from . import http


def sleeper(address, target):
    """Asks for the stream with a small window and never reads a byte of it."""
    sock = http.connect(address, 20, receive_buffer=4096)
    sock.sendall(http.request_bytes(address, "GET", target))
    return sock


def reader(address, target):
    """A stream read up to its `: subscribed`."""
    sock = http.connect(address, 20)
    sock.sendall(http.request_bytes(address, "GET", target))
    seen = b""
    while b": subscribed\n\n" not in seen:
        data = sock.recv(4096)
        if not data:
            raise SystemExit(f"a reader was closed at its start: {seen!r}")
        seen += data
    sock.setblocking(False)
    return sock


class Readers:
    def __init__(self, socks):
        self.poll = select.epoll()
        self.socks = {s.fileno(): s for s in socks}
        self.counts = dict.fromkeys(self.socks, 0)
        self.buffer = bytearray(1 << 20)
        for fd in self.socks:
            self.poll.register(fd, select.EPOLLIN)

    def expect(self, total, seconds=60):
        """Until each has had `total` bytes; returns how long that took."""
        began = time.monotonic()
        short = {fd for fd, n in self.counts.items() if n < total}
        while short:
            if time.monotonic() - began > seconds:
                raise SystemExit(f"{len(short)} readers have not had {total} bytes in {seconds} s")
            for fd, _ in self.poll.poll(0.5):
                with contextlib.suppress(BlockingIOError):
                    got = self.socks[fd].recv_into(self.buffer)
                    if not got:
                        raise SystemExit(f"a reader was closed after {self.counts[fd]} bytes")
                    self.counts[fd] += got
                    if self.counts[fd] >= total:
                        short.discard(fd)
        return time.monotonic() - began


def main(port, channel, readers, sleepers):
    address, target = ("127.0.0.1", int(port)), f"/events?channel={channel}"
    asleep = [sleeper(address, target) for _ in range(int(sleepers))]
    crowd = Readers([reader(address, target) for _ in range(int(readers))])
    print("joined", flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "end":
            break
        took = crowd.expect(int(words[1]))
        print("got", words[1], f"{took:.3f}", flush=True)
    for sock in asleep:
        sock.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
