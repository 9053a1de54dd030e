"""One peer: follows its feed on either gateway, and confirms what it has dropped."""

import contextlib
import json
import socket
import threading
import time
from collections import Counter

from harness import http
from harness.sse import Body, Event, Parser

from . import world
from .bus_world import peer_name

FAILED = (OSError, ConnectionError, ValueError)
CONNECT_SECONDS = 3
CLOSE_TRIES = 10


class Wrong(Exception):
    """The gateway broke the protocol."""


class Feed:
    """Two threads: one reads, one confirms. `copies` has its own lock."""

    def __init__(self, number, copies, rng):
        self.name, self.copies, self.rng = peer_name(number), copies, rng
        self.cursor, self.session, self.sock = None, None, None
        self.due, self.news = None, threading.Condition()  # (session, id, address) to be confirmed
        self.counts, self.wrong = Counter(), []
        self.over = threading.Event()
        self.away_until, self.anew, self.address = 0.0, False, None
        for work in (self._follow_always, self._confirm_always):
            threading.Thread(target=work, daemon=True).start()

    def cut(self):
        sock = self.sock
        if sock:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def leave(self, seconds, anew):
        """Ends properly: has no copies any more, then says so. Comes back, maybe as if it had never been there."""
        with self.news:
            session, self.session, self.due = self.session, None, None
            if not session:
                return
            self.away_until = time.monotonic() + seconds
            self.copies.leave()
        body = {"session": session, "peer": self.name, "close": True}
        for _ in range(CLOSE_TRIES):
            if self._close(self.rng.choice(world.GATEWAYS), body):
                break
            time.sleep(0.2)  # and if nobody hears it, the lease ends by itself
        self.anew = anew
        self.cut()

    def _close(self, address, body):
        with contextlib.suppress(*FAILED, AssertionError):
            status = http.request(address, "POST", "/invalidations/ack", (), body, CONNECT_SECONDS).status
            if status in (200, 409):
                self.counts["left" if status == 200 else "session gone"] += 1
                return True
        return False

    # -- the feed --------------------------------------------------------------------------------

    def _follow_always(self):
        while not self.over.is_set():
            if time.monotonic() < self.away_until:
                time.sleep(0.05)
                continue
            if self.anew:
                self.anew, self.cursor = False, None
            try:
                self._follow()
            except FAILED:
                self.counts["hung up"] += 1
            except (Wrong, AssertionError) as why:
                self.wrong.append(f"{self.name}: {why}")
            self.session = None
            time.sleep(self.rng.choice([0.05, 0.2, 0.5]))

    def _follow(self):
        address = self.address = self.rng.choice(world.GATEWAYS)
        self.via = address if self.rng.random() < 0.7 else self.rng.choice(world.GATEWAYS)
        headers = {"Last-Event-ID": self.cursor} if self.cursor else {}
        with http.connect(address, CONNECT_SECONDS) as sock:
            self.sock = sock
            sock.settimeout(world.SILENCE_SECONDS)
            sock.sendall(http.request_bytes(address, "GET", f"/invalidations?peer={self.name}", headers))
            with sock.makefile("rb", buffering=0) as file:
                head = http.read_head(file)
                if head.status != 200:
                    if head.status < 500:
                        raise Wrong(f"refused: {head}")
                    raise ConnectionError(head.status)
                self.counts["connections"] += 1
                self._read(file, Body((head.header("transfer-encoding") or "").lower() == "chunked"))

    def _read(self, file, body):
        parser = Parser()
        while data := file.read(262144):
            for item in parser.feed(body.feed(data)):
                if isinstance(item, Event):
                    self._take(item)

    def _take(self, event):
        if event.event == "hello":
            self.session = event.json()["session"]
            self.counts["resumed" if event.json()["resumed"] else "begun anew"] += 1
            if event.json()["resumed"] != (event.id is None):
                raise Wrong(f"a hello with the id {event.id}: {event.data}")
        elif event.event == "invalidate":
            if world.us(event.id) <= world.us(self.cursor):
                raise Wrong(f"{event.id} came after {self.cursor}")
            self.copies.drop({**event.json(), "at": f"{event.id} by {self.address[1]}"})
        elif event.event == "flush":
            self.copies.flush(f"{event.json()['reason']} {event.id} by {self.address[1]}")
            self.counts[f"flush {event.json()['reason']}"] += 1
        elif event.event == "sluice.busy":
            self.counts["busy"] += 1  # and then the gateway closes
        elif event.event != "head":
            raise Wrong(f"an event {event.event}")
        if event.id and event.event != "hello":  # after a hello comes the flush
            self.cursor = event.id
            with self.news:
                if self.session:
                    self.due = (self.session, event.id, self.via)
                    self.news.notify()

    # -- confirmations ---------------------------------------------------------------------------

    def _confirm_always(self):
        connection = None
        while not self.over.is_set():
            with self.news:
                if not self.news.wait_for(lambda: self.due, 0.5):
                    continue
                due, self.due = self.due, None
            try:
                if connection and connection.address != due[2]:
                    connection.close()
                    connection = None
                sent = time.monotonic()
                connection = connection or http.Connection(due[2], CONNECT_SECONDS)
                again = self._confirm(connection, due, sent)
            except (*FAILED, AssertionError):
                again, connection = True, connection and connection.close()
            if again:
                self._retry(due)

    def _confirm(self, connection, due, sent):
        session, ident, _ = due
        answer = connection.request("POST", "/invalidations/ack",
                                    body=json.dumps({"session": session, "id": ident}).encode())
        if answer.status == 200:
            self.counts["confirmed"] += 1
            with self.news:
                if session == self.session:  # else it has left meanwhile, or come back
                    self.copies.renewed(sent)
        elif answer.status == 409:
            self.counts["session gone"] += 1
            if session == self.session:
                self.cut()
        elif answer.status < 500:
            self.wrong.append(f"{self.name}: a confirmation was refused: {answer}")
        return answer.status >= 500

    def _retry(self, due):
        time.sleep(0.1)
        with self.news:
            if not self.due and due[0] == self.session:
                self.due = (*due[:2], self.rng.choice(world.GATEWAYS))
