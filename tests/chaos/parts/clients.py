"""
The clients, as browsers behave: each keeps its last id, comes back at either gateway, and drops an event
that was cut in half. What each one was given stands in DIRECTORY/client-N, for the oracle.

    python3 -m parts.clients DIRECTORY SEED COUNT SECONDS FIRST_ID

Obeys lines on standard input: `stuck SECONDS` some stop reading, `cut SHARE` some hang up, `settle ID` all
stay until each has come to that id, then `settled` or who has not is said; `end` leaves.
"""

import contextlib
import errno
import json
import os
import random
import select
import socket
import sys
import time
from urllib.parse import urlencode

from harness.http import request_bytes

from . import world

TICK = 0.05
SETTLE_SECONDS = 120  # two cores that do other work too, and the records of many bursts


class Client:
    def __init__(self, number, seed, directory, seconds, first_id):
        self.rng = rng = random.Random(f"{seed}/{number}")
        self.number = number
        self.fickle = rng.random() < 0.6  # hangs up by itself, again and again
        self.small = number % 4 == 0      # with a small window: who may get stuck
        self.by_query = rng.random() < 0.3
        self.wrapped = rng.random() < 0.4
        self.channels = rng.sample(world.CHANNELS, rng.choice([1, 2, 4, 8])) if rng.random() < 0.8 else []
        self.patterns = rng.sample(world.PATTERNS, rng.choice([0, 0, 1, 2])) if self.channels else \
            [rng.choice(world.PATTERNS)]
        self.ephemeral = [c for c in world.EPHEMERAL if rng.random() < 0.3]
        self.since = first_id if rng.random() < 0.15 else None  # comes late and wants all there was
        self.cursor = None
        self.sock, self.file = None, open(os.path.join(directory, f"client-{number}"), "wb")
        self.wake = rng.uniform(0.3, 0.7) * seconds if self.since else 0.0
        self.stuck, self.leaves = 0.0, 0.0
        self.note(client=number, channels=self.channels, patterns=self.patterns, wrapped=self.wrapped,
                  since=self.since)

    def note(self, **what):
        """A line of our own in the record; no byte of the stream looks like its beginning."""
        self.file.write(b"\x01" + json.dumps(what).encode() + b"\n")

    def target(self):
        pairs = [("channel", c) for c in self.channels + self.ephemeral] + [("pattern", p) for p in self.patterns]
        if self.wrapped:
            pairs.append(("wrap", "1"))
        if self.since:
            pairs.append(("since", self.since))
        if self.by_query and self.cursor:
            pairs.append(("lastEventId", self.cursor))
        return "/events?" + urlencode(pairs)

    # -- one connection --------------------------------------------------------------------------

    def connect(self, now):
        self.gateway = self.rng.randrange(len(world.GATEWAYS))
        self.sock = socket.socket()
        self.sock.setblocking(False)
        if self.small:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self.asked, self.head, self.rest = False, b"", b""
        self.heard = now
        self.leaves = now + self.rng.expovariate(1 / 12) if self.fickle else float("inf")
        err = self.sock.connect_ex(world.GATEWAYS[self.gateway])
        return err in (0, errno.EINPROGRESS)

    def ask(self):
        headers = [("Last-Event-ID", self.cursor)] if self.cursor and not self.by_query else []
        self.sock.send(request_bytes(world.GATEWAYS[self.gateway], "GET", self.target(), headers))
        self.asked = True

    def read(self, now):
        """False when the connection is over."""
        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.heard = now
        if self.head is not None:
            data = self._read_head(data)
            if data is None:
                return True
        if not data:
            return False
        self._take(data)
        return True

    def _read_head(self, data):
        """What stands behind the head, None while that is not whole."""
        if not data:
            return b""
        self.head += data
        head, end, data = self.head.partition(b"\r\n\r\n")
        if not end:
            return None
        status = int(head.split(b" ", 2)[1])
        self.note(t=round(time.monotonic(), 3), gateway=self.gateway, status=status, cursor=self.cursor)
        if status != 200 or b"transfer-encoding" in head.lower():
            self.note(refused=self.head[:400].decode("latin-1"))
            return b""
        self.head = None
        return data or None

    def _take(self, data):
        whole, end, self.rest = (self.rest + data).rpartition(b"\n\n")
        whole += end
        self.file.write(world.compact(whole) if b"x" * 64 in whole else whole)
        at = (b"\n" + whole).rfind(b"\nid: ")
        if at >= 0:
            self.cursor = whole[at + 4:whole.index(b"\n", at + 4)].decode()

    def hang_up(self, now, away):
        if self.small and self.rng.random() < 0.5:  # as a machine that went: a reset
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()
        self.sock = None
        self.wake, self.stuck = now + away, 0.0


class Swarm:
    def __init__(self, clients):
        self.clients = clients
        self.by_fd = {}
        self.poll = select.epoll()
        self.begun = time.monotonic()
        self.staying = False
        self.connections = 0
        for c in clients:
            c.wake += self.begun

    def start(self, client, now):
        self.connections += 1
        if not client.connect(now):
            client.hang_up(now, client.rng.uniform(0.1, 0.4))
            return
        self.by_fd[client.sock.fileno()] = client
        self.poll.register(client.sock, select.EPOLLOUT)

    def end(self, client, now, away=None):
        if not client.stuck:
            with contextlib.suppress(OSError):
                self.poll.unregister(client.sock)
        del self.by_fd[client.sock.fileno()]
        away = client.rng.choice([0.05, 0.2, 0.5, 2.0]) if away is None else away
        client.hang_up(now, 0.1 if self.staying else away)

    def ready(self, fd, now):
        client = self.by_fd.get(fd)
        if not client or client.stuck:
            return
        if client.asked:
            if not client.read(now):
                self.end(client, now)
        elif client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.end(client, now)
        else:
            with contextlib.suppress(OSError):  # the reading will tell
                client.ask()
            client.asked = True
            self.poll.modify(fd, select.EPOLLIN)

    def turn(self, client, now):
        if not client.sock:
            if now >= client.wake:
                self.start(client, now)
        elif client.stuck:
            if now >= client.stuck:
                client.stuck, client.heard = 0.0, now
                self.poll.register(client.sock, select.EPOLLIN)
        elif now - client.heard > world.SILENCE_SECONDS or (now >= client.leaves and not self.staying):
            self.end(client, now)

    def step(self):
        for fd, _ in self.poll.poll(TICK):
            self.ready(fd, time.monotonic())
        now = time.monotonic()
        for client in self.clients:
            self.turn(client, now)

    # -- orders ----------------------------------------------------------------------------------

    def stick(self, seconds):
        """Those with a small window read nothing for so long."""
        now = time.monotonic()
        for client in self.clients:
            if client.sock and client.small and client.asked and not client.stuck:
                client.stuck, client.leaves = now + seconds, float("inf")
                self.poll.unregister(client.sock)

    def cut(self, share):
        now = time.monotonic()
        for client in list(self.by_fd.values()):
            if client.rng.random() < share:
                self.end(client, now)

    def settle(self, wanted):
        self.staying = True
        end = time.monotonic() + SETTLE_SECONDS
        while late := [c for c in self.clients if not c.cursor or world.us(c.cursor) < wanted]:
            if time.monotonic() > end:
                return "unsettled " + " ".join(f"{c.number}:{c.cursor}" for c in late)
            self.step()
        end = time.monotonic() + 1.5  # what comes too often comes late
        while time.monotonic() < end:
            self.step()
        return f"settled {self.connections}"


def main(directory, seed, count, seconds, first_id):
    swarm = Swarm([Client(n, seed, directory, float(seconds), first_id) for n in range(int(count))])
    orders = {"stuck": lambda word: swarm.stick(float(word)), "cut": lambda word: swarm.cut(float(word)),
              "settle": lambda word: print(swarm.settle(world.us(word)), flush=True)}
    os.set_blocking(0, False)
    left = b""
    while True:
        swarm.step()
        with contextlib.suppress(BlockingIOError):
            got = os.read(0, 4096)
            *lines, left = (left + got).split(b"\n")
            words = [line.decode().split() for line in lines]
            for order in words:
                if order[0] != "end":
                    orders[order[0]](order[1])
            if not got or ["end"] in words:
                break
    for client in swarm.clients:
        client.file.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
