"""
HTTP/2 by python3-h2 on a bare socket: many requests on one connection, flow control in the test's
hands, and `frames` for what no honest library would send.
"""

import json
import select
import socket
import time

import h2.config
import h2.connection
import h2.events
import h2.settings
from hyperframe.frame import Frame, HeadersFrame

from . import http, tls
from .http import host_of

Setting = h2.settings.SettingCodes


class Part:
    """One request and what came for it."""

    def __init__(self, client, number, method):
        self.client, self.number, self.method = client, number, method
        self.status, self.headers, self.body = None, [], b""
        self.ended = False   # END_STREAM came
        self.reset = None    # the code of a RST_STREAM
        self.hold = False    # its window is not opened again
        self.taken = 0       # bytes of the body that `events` has read

    @property
    def over(self):
        return self.ended or self.reset is not None

    def header(self, name):
        values = [v for k, v in self.headers if k == name]
        assert len(values) < 2, values
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    def error(self):
        assert self.header("content-type") == "application/json"
        assert list(self.json()) == ["error"]
        return self.json()["error"]

    def whole(self, seconds=10):
        """Waits for the end of the answer."""
        self.client.until(lambda: self.over, seconds, f"the answer to {self.number}")
        return self

    def blocks(self, count, seconds=10):
        """The next `count` SSE blocks that are no comment, each without its empty line."""
        found = []

        def enough():
            while len(found) < count and (end := self.body.find(b"\n\n", self.taken)) >= 0:
                block, self.taken = self.body[self.taken:end].decode(), end + 2
                if block and not block.startswith(":") and not block.startswith("retry:"):
                    found.append(block)
            return len(found) == count
        self.client.until(enough, seconds, lambda: f"{count} events on {self.number}; there are {found}")
        return found

    def data(self, count, seconds=10):
        return ["\n".join(line[6:] for line in block.split("\n")) for block in self.blocks(count, seconds)]

    def __repr__(self):
        return f"<{self.number} {self.status} {self.headers} {self.body[:200]!r} reset={self.reset}>"


class Client:
    """
    A connection. Nothing is read behind the test's back: bytes are taken in by `until`, and by what
    calls it. settings: of ours, beyond h2's own.
    """

    def __init__(self, address, settings=None, receive_buffer=None, timeout=10.0, window=1 << 24):
        self.address, self.parts, self.goaway, self.closed, self.frozen = address, {}, None, False, False
        self.pending, self.seen, self.strange = b"", [], set()
        self.sock = http.connect(address, timeout, receive_buffer)
        if isinstance(address, tls.Address):
            assert self.sock.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(header_encoding="utf-8", validate_outbound_headers=False,
                                      normalize_outbound_headers=False))
        self.h2.local_settings = h2.settings.Settings(
            client=True, initial_values={Setting.ENABLE_PUSH: 0, **(settings or {})})
        self.h2.initiate_connection()
        if window:
            self.h2.increment_flow_control_window(window)
        self.flush()

    # -- sending

    def flush(self):
        if self.closed:
            return
        data = self.h2.data_to_send()
        try:
            self.sock.sendall(data)
        except OSError:
            self.closed = True

    def request(self, method, path, headers=(), body=None, end=True, authority=None):
        """Begins a request; the Part. end=False leaves its body open."""
        number = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "https"), (":path", path),
                  (":authority", authority or host_of(self.address)), *dict(headers).items()]
        part = self.parts[number] = Part(self, number, method)
        self.h2.send_headers(number, fields, end_stream=end and body is None)
        if body is not None:
            self.send(part, body, end)
        self.flush()
        return part

    def send(self, part, body, end=True, seconds=10):
        """As much of a body as the windows allow, and then the rest; stops when it is answered."""
        while body and not part.over:
            room = min(self.h2.local_flow_control_window(part.number), self.h2.max_outbound_frame_size)
            if room <= 0:
                self.until(lambda: part.over or self.h2.local_flow_control_window(part.number) > 0, seconds,
                           "a window to send in")
                continue
            self.h2.send_data(part.number, body[:room])
            body = body[room:]
            self.flush()
        if end and not part.over:
            self.h2.end_stream(part.number)
        self.flush()

    def get(self, path, headers=()):
        return self.request("GET", path, headers).whole()

    def post(self, path, body=b"", headers=()):
        return self.request("POST", path, headers, body).whole()

    def subscribe(self, channel, seconds=10):
        part = self.request("GET", "/events?channel=" + channel)
        self.until(lambda: b": subscribed" in part.body or part.over, seconds, "the subscription")
        assert part.status == 200 and not part.over, part
        return part

    def reset(self, part, code=8):
        self.h2.reset_stream(part.number, code)
        part.reset = code
        self.flush()

    def headers_frame(self, method="GET", path="/healthz", headers=(), flags=("END_STREAM", "END_HEADERS"),
                      fields=None):
        """A request that the library need not know of; to be sent by `frames`. fields: instead of ours."""
        number = self.h2.get_next_available_stream_id()
        self.h2.highest_outbound_stream_id = number
        self.strange.add(number)
        fields = fields or [(":method", method), (":scheme", "https"), (":path", path),
                            (":authority", host_of(self.address)), *headers]
        return HeadersFrame(number, self.h2.encoder.encode(fields), flags=flags)

    def frames(self, *frames):
        """Sends these frames (or bytes) as they are, past the library. False when nobody takes them."""
        try:
            self.sock.sendall(b"".join(f.serialize() if isinstance(f, Frame) else f for f in frames))
        except OSError:
            return False
        return True

    # -- receiving

    def read(self, seconds):
        """Takes in what comes within `seconds`, once; False when nothing did."""
        pending = self.sock.pending() if hasattr(self.sock, "pending") else 0
        if self.closed or (not pending and not select.select([self.sock], [], [], seconds)[0]):
            return False
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return True
        self.pending += data
        while len(self.pending) >= 9 and len(self.pending) >= 9 + int.from_bytes(self.pending[:3], "big"):
            length = 9 + int.from_bytes(self.pending[:3], "big")
            frame, self.pending = self.pending[:length], self.pending[length:]
            self._take(frame)
        if not self.frozen:
            self.flush()
        return True

    def _take(self, frame):
        """One frame. h2 refuses all that comes behind a GOAWAY, and streams that it did not begin."""
        kind, flags, number = frame[3], frame[4], int.from_bytes(frame[5:9], "big")
        self.seen.append((kind, flags))
        if kind == 7:
            self.goaway = int.from_bytes(frame[13:17], "big")
        elif number in self.strange:
            part = self.parts.setdefault(number, Part(self, number, "GET"))
            if kind == 1:
                fields = dict(self.h2.decoder.decode(frame[9:]))
                part.status = int(fields[":status"])
            elif kind == 0:
                part.body += frame[9:]
            elif kind == 3:
                part.reset = int.from_bytes(frame[9:13], "big")
            part.ended = part.ended or (kind in (0, 1) and flags & 1)
        else:
            for event in self.h2.receive_data(frame):
                self._on(event)

    def _on(self, event):
        part = self.parts.get(getattr(event, "stream_id", None))
        if part is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            part.headers = [(k, v) for k, v in event.headers if k[0] != ":"]
            part.status = int(dict(event.headers)[":status"])
        elif isinstance(event, h2.events.DataReceived):
            part.body += event.data
            if not self.frozen and event.flow_controlled_length:
                self.h2.increment_flow_control_window(event.flow_controlled_length)
                if not part.hold and not event.stream_ended:
                    self.h2.increment_flow_control_window(event.flow_controlled_length, part.number)
        elif isinstance(event, h2.events.StreamEnded):
            part.ended = True
        elif isinstance(event, h2.events.StreamReset):
            part.reset = int(event.error_code)

    def until(self, predicate, seconds=10.0, what="the condition"):
        end = time.monotonic() + seconds
        while not predicate():
            left = end - time.monotonic()
            text = what() if callable(what) and left <= 0 else what
            assert left > 0, f"waited {seconds} s for {text}"
            assert not self.closed, f"closed while waiting for {text}; GOAWAY {self.goaway}"
            self.read(min(left, 1))

    def ends(self, seconds=10.0):
        """Reads until the gateway closes; the code of its GOAWAY, None without one."""
        end = time.monotonic() + seconds
        while not self.closed:
            assert time.monotonic() < end, "it is still open"
            self.read(0.5)
        return self.goaway

    def close(self):
        self.sock.close()

    def vanish(self):
        """Closes with a reset."""
        socket.socket.setsockopt(self.sock, socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def secure(address, *pairs):
    """The address, to be talked to over TLS with HTTP/2 or nothing."""
    context = tls.client(*pairs)
    context.set_alpn_protocols(["h2"])
    return tls.Address(address, context)
