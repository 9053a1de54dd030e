"""HTTP on a bare socket, so that a test can send what no library would, and sees every byte."""

import json
import socket


def connect(address, timeout=5.0, receive_buffer=None):
    """A socket to ("127.0.0.1", port), ("::1", port), a tls.Address, or the path of a unix socket."""
    family = socket.AF_UNIX if isinstance(address, str) else \
        socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.settimeout(timeout)
    s.connect(tuple(address) if not isinstance(address, str) else address)
    return address.wrap(s) if hasattr(address, "wrap") else s


def host_of(address):
    if isinstance(address, str):
        return "localhost"
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"


def request_bytes(address, method, target, headers=(), body=None):
    """headers: pairs, or a dict; a Host of None leaves the line out."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
    names = {name.lower() for name, _ in pairs}
    if "host" not in names:
        pairs.insert(0, ("Host", host_of(address)))
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        pairs.append(("Content-Length", str(len(body))))
    lines = [f"{method} {target} HTTP/1.1"] + [f"{k}: {v}" for k, v in pairs if v is not None]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


class Response:
    def __init__(self, status, reason, headers, body=b""):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body

    def header(self, name):
        """The value of a header that stands once, None when absent."""
        values = self.all(name)
        assert len(values) < 2, f"{name} stands {len(values)} times"
        return values[0] if values else None

    def all(self, name):
        return [v for k, v in self.headers if k == name.lower()]

    def json(self):
        return json.loads(self.body)

    def error(self):
        """The sentence of an error answer, whose shape is checked here."""
        kind = self.header("content-type")
        assert kind and kind.split(";")[0] == "application/json", f"{kind}: {self.body[:200]!r}"
        parsed = self.json()
        assert list(parsed) == ["error"] and isinstance(parsed["error"], str) and parsed["error"]
        return parsed["error"]

    def __repr__(self):
        return f"<{self.status} {dict(self.headers)} {self.body[:300]!r}>"


def read_head(file):
    """The status line and headers. ConnectionError when the peer closed instead."""
    line = file.readline(65536)
    if not line:
        raise ConnectionError("closed without an answer")
    version, status, *reason = line.decode("latin-1").rstrip("\r\n").split(" ", 2)
    assert version in ("HTTP/1.1", "HTTP/1.0"), line
    headers = []
    while (line := file.readline(65536)) not in (b"\r\n", b""):
        assert line.endswith(b"\r\n"), f"a header line without CRLF: {line!r}"
        name, _, value = line[:-2].decode("latin-1").partition(":")
        headers.append((name.lower(), value.strip()))
    return Response(int(status), "".join(reason), headers)


def read_chunked(file):
    body = b""
    while (size := int(file.readline(64).split(b";")[0], 16)) > 0:
        body += file.read(size)
        assert file.read(2) == b"\r\n"
    assert file.readline() == b"\r\n"
    return body


def read_response(file, method="GET"):
    response = read_head(file)
    if method == "HEAD" or response.status in (204, 304):
        return response
    if response.header("content-type") == "text/event-stream":
        return response  # has no end; sse.Stream reads those
    if (response.header("transfer-encoding") or "").lower() == "chunked":
        response.body = read_chunked(file)
    elif (length := response.header("content-length")) is not None:
        response.body = file.read(int(length))
        assert len(response.body) == int(length), "the body is shorter than its Content-Length"
    else:
        response.body = file.read()
    return response


def request(address, method, target, headers=(), body=None, timeout=10.0):
    """One request on a connection of its own. body: bytes, str, or what becomes JSON."""
    if isinstance(body, str):
        body = body.encode()
    elif body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return raw(address, request_bytes(address, method, target, headers, body), method, timeout)


def raw(address, data, method="GET", timeout=10.0):
    """Sends the bytes as they are and reads one answer."""
    with connect(address, timeout) as s, s.makefile("rb") as file:
        try:
            s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # answered and closed before all was sent: the answer may still be there
        return read_response(file, method)


class Held:
    """Has a socket `sock` and its `file`, and closes both behind a `with`."""

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Connection(Held):
    """A kept-alive connection for several requests."""

    def __init__(self, address, timeout=10.0):
        self.address = address
        self.sock = connect(address, timeout)
        self.file = self.sock.makefile("rb")

    def request(self, method, target, headers=(), body=None):
        self.sock.sendall(request_bytes(self.address, method, target, headers, body))
        return read_response(self.file, method)
