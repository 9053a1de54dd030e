"""A Redis that misbehaves to order, for states that a real one cannot be held in."""

import contextlib
import socket
import threading


def bulk(raw):
    return b"$%d\r\n%s\r\n" % (len(raw), raw)


def array(*items):
    return b"*%d\r\n" % len(items) + b"".join(items)


class FakeRedis:
    """
    Speaks enough RESP for pub/sub. `script(args)` sees each command (a list of bytes) first and may
    answer it: raw bytes to send, or None to let the ordinary answer stand. `received` keeps all.
    """

    def __init__(self, port=0, script=None):
        self.script = script or (lambda args: None)
        self.received = []
        self.lock = threading.Lock()
        self.members = {}  # ("channel"|"pattern", name) -> set of sockets
        self.conns = set()
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.conns.add(conn)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        with contextlib.suppress(OSError, ValueError), conn.makefile("rb") as file:
            while (head := file.readline()):
                args = []
                for _ in range(int(head[1:])):
                    size = int(file.readline()[1:])
                    args.append(file.read(size + 2)[:-2])
                self._command(conn, args)
        with self.lock:
            self.conns.discard(conn)
            for members in self.members.values():
                members.discard(conn)

    def _command(self, conn, args):
        with self.lock:
            self.received.append(args)
            answer = self.script(args)
            conn.sendall(answer if answer is not None else self._ordinary(conn, args))

    def _ordinary(self, conn, args):
        name = args[0].upper()
        if name in (b"SUBSCRIBE", b"PSUBSCRIBE", b"UNSUBSCRIBE", b"PUNSUBSCRIBE"):
            return b"".join(self._subscription(conn, name, topic) for topic in args[1:])
        if name == b"PUBLISH":
            return b":%d\r\n" % self._publish(args[1], args[2])
        if name == b"PING":
            return b"+PONG\r\n"
        if name == b"HELLO":
            return b"-ERR unknown command 'HELLO'\r\n"
        if name == b"INFO":
            return bulk(b"redis_version:7.0.15\r\nloading:0\r\nrole:master\r\n")
        return b"+OK\r\n"

    def _subscription(self, conn, name, topic):
        kind = "pattern" if name.startswith(b"P") else "channel"
        members = self.members.setdefault((kind, topic), set())
        if b"UN" in name:
            members.discard(conn)
        else:
            members.add(conn)
        count = sum(conn in m for m in self.members.values())
        return array(bulk(name.lower()), bulk(topic), b":%d\r\n" % count)

    def _publish(self, channel, payload):
        listeners = self.members.get(("channel", channel), set())
        for conn in listeners:
            conn.sendall(array(bulk(b"message"), bulk(channel), bulk(payload)))
        return len(listeners)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)
        with self.lock:
            conns = list(self.conns)
        for conn in conns:
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)
            conn.close()


def loading(_args):
    """A script: Redis reads its data set after a start."""
    return b"-LOADING Redis is loading the dataset in memory\r\n"


def readonly_publish(args):
    """A script: PUBLISH of anything but the gateway's own beat is refused as on a replica."""
    if args[0].upper() == b"PUBLISH" and not args[1].startswith(b"sluice:"):
        return b"-READONLY You can't write against a read only replica.\r\n"
    return None
