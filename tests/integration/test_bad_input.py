"""Bad input never ends the process, never reaches another client, always gets a clear error."""

import os
import random
import socket

import pytest

from harness import http
from harness.sse import Event


@pytest.fixture
def bystander(gateway, name):
    """A stream that must not notice anything, and a gateway that must go on."""
    stream = gateway.subscribe(name)
    yield stream
    assert gateway.post("/publish/" + name, "unhurt").status == 200
    item = stream.message()
    assert item == Event("message", "unhurt")
    assert [i for i in stream.seen if isinstance(i, Event)] == [item]
    assert gateway.alive()


HOST = b"Host: 127.0.0.1\r\n"
MALFORMED = {
    "no spaces": b"GARBAGE\r\n\r\n",
    "only a line end": b"\r\n\r\n",
    "no version": b"GET /healthz\r\n\r\n",
    "a version of nobody": b"GET /healthz HTTP/9.9\r\n" + HOST + b"\r\n",
    "a target without slash": b"GET healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "binary": bytes(range(256)) + b"\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
    "almost an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n",
    "a header without colon": b"GET /healthz HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n",
    "a NUL in a header": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "a NUL in the target": b"GET /health\0z HTTP/1.1\r\n" + HOST + b"\r\n",
    "a negative length": b"POST /publish/bad HTTP/1.1\r\n" + HOST + b"Content-Length: -5\r\n\r\nhello",
    "a length that is no number": b"POST /publish/bad HTTP/1.1\r\n" + HOST +
                                  b"Content-Length: abc\r\n\r\nhello",
    "an endless length": b"POST /publish/bad HTTP/1.1\r\n" + HOST +
                         b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "two lengths": b"POST /publish/bad HTTP/1.1\r\n" + HOST +
                   b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a bad chunk": b"POST /publish/bad HTTP/1.1\r\n" + HOST +
                   b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_request_gets_a_clear_error(gateway, bystander, data):
    answer = http.raw(gateway.address, data)
    assert answer.status in (400, 413, 501, 505), answer
    assert answer.header("connection") == "close"
    answer.error()


METHODS = [
    ("DELETE", "/events", "GET"), ("POST", "/events", "GET"), ("PUT", "/publish/a", "POST"),
    ("GET", "/publish/a", "POST"), ("GET", "/publish", "POST"), ("POST", "/healthz", "GET"),
    ("POST", "/readyz", "GET"), ("DELETE", "/metrics", "GET"), ("PATCH", "/api/stats", "GET"),
    ("POST", "/api/channels", "GET"), ("POST", "/", "GET"), ("POST", "/api/events", "GET"),
    ("GET", "/invalidate", "POST"), ("POST", "/invalidations", "GET"), ("GET", "/invalidations/ack", "POST"),
    ("GET", "/revalidate", "POST"), ("PUT", "/webhooks/cms", "POST"), ("DELETE", "/api/peers", "GET"),
]


@pytest.mark.parametrize("method, target, allowed", METHODS)
def test_a_wrong_method_is_405_and_says_which_are_right(gateway, bystander, method, target, allowed):
    response = gateway.request(method, target, body=b"" if method != "GET" else None)
    assert response.status == 405
    assert allowed in [m.strip() for m in response.header("allow").split(",")]
    assert method in response.error()


@pytest.mark.parametrize("method", ["BREW", "get", "TRACE", "CONNECT", "PROPFIND"])
def test_a_method_of_nobody_is_405_too(gateway, bystander, method):
    answer = http.raw(gateway.address, http.request_bytes(gateway.address, method, "/events"))
    assert answer.status == 405
    assert "GET" in answer.header("allow")


@pytest.mark.parametrize("target", [
    "/events?channel=%", "/events?channel=%4", "/events?channel=%zz", "/events?channel=a%2",
    "/events?%=x", "/events?pattern=%g0",
])
def test_bad_percent_encoding_in_a_query_is_400(gateway, bystander, target):
    response = gateway.get(target)
    assert response.status == 400
    assert "%" in response.error()


@pytest.mark.parametrize("target", ["/publish/%", "/publish/a%4", "/publish/%zz"])
def test_bad_percent_encoding_in_a_path_is_400(gateway, bystander, target):
    response = gateway.post(target, "x")
    assert response.status == 400
    assert "%" in response.error()


@pytest.mark.parametrize("query", ["wrap=2", "wrap=yes", "heartbeat=never", "heartbeat="])
def test_a_value_that_means_nothing_is_400_and_not_ignored(gateway, bystander, query):
    response = gateway.get("/events?channel=a&" + query)
    assert response.status == 400
    assert query.split("=")[0] in response.error()


PAYLOADS = {
    "NUL": b"a\0b",
    "CR": b"a\rb", "CRLF": b"a\r\nb", "LF": b"a\nb", "LF LF": b"a\n\nb", "LF at the end": b"a\n",
    "LF at the start": b"\na", "only line ends": b"\r\n\r\n\n\r",
    "field injection": b"x\n\nevent: sluice.gap\ndata: {}\n\n",
    "id injection": b"x\rid: 5\rdata: y",
    "comment": b": not a comment", "colon": b":", "leading space": b"  two spaces",
    "invalid UTF-8": b"a\xff\xfeb\xc3", "overlong": b"\xc0\xaf\xe0\x80\xaf",
    "surrogate": b"\xed\xa0\x80", "beyond Unicode": b"\xf4\x90\x80\x80",
    "cut sequence before a line end": b"\xe2\x82\nx",
    "byte order mark": b"\xef\xbb\xbfx", "line separator": "a\u2028b\u0085c".encode(),
    "empty": b"",
}


def as_event_data(payload):
    """What a client must get: repaired as the Encoding standard says, line ends as LF."""
    text = payload.decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_any_payload_arrives_as_one_event(gateway, shared_redis, bystander, name, payload):
    channel = name + ".payload"
    stream, wrapped = gateway.subscribe(channel), gateway.subscribe(channel, wrap="1")
    shared_redis.publish(channel, payload)
    shared_redis.publish(channel, "end")
    assert stream.message() == Event("message", as_event_data(payload))
    assert stream.message().data == "end"
    got = wrapped.message().json()["data"]
    assert got.replace("\r\n", "\n").replace("\r", "\n") == as_event_data(payload)


def test_repaired_payloads_are_counted(gateway, shared_redis):
    stream = gateway.subscribe("repair")
    before = gateway.metric("sluice_invalid_utf8_total")
    shared_redis.publish("repair", b"\xff")
    shared_redis.publish("repair", "fine")
    stream.data(2)
    gateway.wait_metric("sluice_invalid_utf8_total", before + 1)


@pytest.mark.deadline(60)
def test_a_payload_of_a_megabyte_arrives_whole(gateway, shared_redis, bystander):
    stream = gateway.subscribe("mega")
    payload = "".join(random.Random(7).choices("abc €😀\n", k=400_000))
    shared_redis.publish("mega", payload)
    assert stream.message(20).data == payload
    exact = "z" * (1 << 20)
    assert gateway.post("/publish/mega", exact).status == 200
    assert stream.message(20).data == exact


@pytest.mark.deadline(60)
def test_a_megabyte_of_line_ends_arrives_as_one_event(gateway, shared_redis, bystander):
    stream = gateway.subscribe("lines")
    shared_redis.publish("lines", "\n" * 500_000)
    assert stream.message(20).data == "\n" * 500_000


@pytest.mark.deadline(60)
def test_random_bytes_on_a_connection_end_that_connection_alone(gateway, bystander):
    source = random.Random(2)
    for _ in range(150):
        with http.connect(gateway.address) as sock:
            head = source.choice([b"", b"GET /events?channel=", b"POST /publish/x HTTP/1.1\r\n" + HOST])
            sock.sendall(head + source.randbytes(source.randrange(1, 2000)))
    assert gateway.get("/healthz").status == 200


def test_clients_that_vanish_at_any_moment_leave_no_trace(gateway, bystander):
    request = http.request_bytes(gateway.address, "GET", "/events?channel=vanish")
    opened = len(os.listdir(f"/proc/{gateway.child.pid}/fd"))
    for cut in range(0, len(request) + 1, 3):
        sock = http.connect(gateway.address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset on close
        sock.sendall(request[:cut])
        sock.close()
    from harness.process import until
    until(lambda: len(os.listdir(f"/proc/{gateway.child.pid}/fd")) <= opened + 2, 10,
          "the descriptors to be given back")


def test_bytes_sent_on_an_open_stream_are_ignored(gateway, shared_redis, bystander):
    stream = gateway.subscribe("chatty")
    stream.sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 100)
    shared_redis.publish("chatty", "x")
    try:
        assert stream.data(1) == ["x"]
    except Exception as closed:  # closing such a client is an answer too
        assert type(closed).__name__ == "Closed"


def test_pipelined_requests_are_answered_in_order_or_closed(gateway, bystander):
    one = http.request_bytes(gateway.address, "POST", "/publish/pipe", body=b"x")
    with http.connect(gateway.address) as sock, sock.makefile("rb") as file:
        sock.sendall(one * 5)
        statuses = []
        try:
            for _ in range(5):
                statuses.append(http.read_response(file).status)
        except (ConnectionError, OSError):
            pass
    assert statuses and set(statuses) == {200}
