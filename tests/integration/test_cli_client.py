"""`sluice tail` and `sluice publish` against a gateway that misbehaves to order."""

import contextlib
import json
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness.gateway import binary
from harness.process import clean_env, spawn, until
from harness.redis import free_port

STREAM = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
          b"retry: %d\n\n: subscribed\n\n")


class Request:
    def __init__(self, head, body):
        line, *headers = head.decode().split("\r\n")
        self.method, self.target, _ = line.split(" ")
        self.headers = {k.lower(): v.strip() for k, _, v in (h.partition(":") for h in headers)}
        self.body = body
        self.at = time.monotonic()


class FakeGateway:
    """
    Answers the nth connection with the nth act, and those after the last with the last one. An act is
    bytes to send before the connection closes, or a function of the connection that sends them itself.
    """

    def __init__(self, *acts, path=None, port=0):
        self.acts, self.requests, self.conns = acts, [], []
        self.over = threading.Event()
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen()
        else:
            self.listener = socket.create_server(("127.0.0.1", port))
            self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        for number in range(1000):
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.conns.append(conn)
            act = self.acts[min(number, len(self.acts) - 1)]
            threading.Thread(target=self._serve, args=(conn, act), daemon=True).start()

    def _serve(self, conn, act):
        with contextlib.suppress(OSError), conn, conn.makefile("rb") as file:
            head = b"".join(iter(lambda: file.readline(65536), b"\r\n")).rstrip()
            request = Request(head, b"")
            request.body = file.read(int(request.headers.get("content-length", 0)))
            self.requests.append(request)
            if callable(act):
                act(conn)
            else:
                conn.sendall(act)

    def hold(self, *chunks):
        """An act that sends the chunks and then keeps the connection open until the test is over."""
        def act(conn):
            for chunk in chunks:
                conn.sendall(chunk)
            self.over.wait(30)
        return act

    def close(self):
        self.over.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for conn in self.conns:
            with contextlib.suppress(OSError):
                conn.close()


def plain_env(**extra):
    """No proxy stands between these tests and 127.0.0.1."""
    env = clean_env(**extra)
    return {k: v for k, v in env.items() if not k.lower().endswith("_proxy")}


class Tail:
    """A running `sluice tail`. `collect=False` leaves its standard output unread."""

    def __init__(self, *args, collect=True):
        self.child = spawn([binary(), "tail", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           env=plain_env())
        self.out, self.err = [], []
        self.readers = [self._collect(self.child.stderr, self.err)]
        if collect:
            self.readers.append(self._collect(self.child.stdout, self.out))

    @staticmethod
    def _collect(file, into):
        def run():
            for line in file:
                into.append(line.decode().rstrip("\n"))
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def ends(self, seconds=8):
        """Waits for its end and for all it wrote; returns its exit status."""
        status = self.child.wait(seconds)
        for reader in self.readers:
            reader.join(5)
        return status

    def says(self, line, seconds=8):
        until(lambda: line in self.err, seconds, f"{line!r} among {self.err}")

    def prints(self, *lines, seconds=8):
        until(lambda: self.out == list(lines), seconds, f"{lines} instead of {self.out}")

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        for file in (self.child.stdout, self.child.stderr):
            file.close()


@pytest.fixture
def fake(makers):
    return lambda *acts, **options: makers.add(FakeGateway(*acts, **options))


@pytest.fixture
def tail(makers):
    return lambda *args, **options: makers.add(Tail(*args, **options))


def stream(*events, retry=100):
    return STREAM % retry + b"".join(events)


def wrapped(channel, data, event=None, ident=None):
    """One event of the wrapped form, with its id: line where it has an id."""
    body = json.dumps({"channel": channel, "event": event, "data": data, "id": ident})
    return (f"id: {ident}\n" if ident else "").encode() + b"data: " + body.encode() + b"\n\n"


def refusal(status, error, headers=""):
    body = json.dumps({"error": error}).encode()
    return (f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"Connection: close\r\n{headers}\r\n").encode() + body


def publish(*args, data=b"", **env):
    return subprocess.run([binary(), "publish", *args], input=data, capture_output=True, timeout=20,
                          env=plain_env(**env), check=False)


# -- tail --------------------------------------------------------------------------------------------

def test_tail_prints_a_line_for_each_message(fake, tail):
    gateway = fake(stream())
    gateway.acts = [gateway.hold(stream(wrapped("a", "one\ntwo"), wrapped("b", '{"n":1}', "new", "7-0")))]
    follower = tail("a", "b", "--url", gateway.url)
    follower.prints("a one\\ntwo", 'b #7-0 [new] {"n":1}')
    follower.says("sluice tail: connected")  # the two pipes are read apart
    assert follower.err == ["sluice tail: connected"]


def test_tail_json_prints_one_object_a_line(fake, tail):
    gateway = fake(stream(wrapped("a", "one\ntwo\u20ac"), wrapped("b", "x", "new", "7-0")))
    follower = tail("a", "--url", gateway.url, "--json", "--count", "2")
    assert follower.ends() == 0
    assert [json.loads(line) for line in follower.out] == [
        {"channel": "a", "event": None, "data": "one\ntwo\u20ac", "id": None},
        {"channel": "b", "event": "new", "data": "x", "id": "7-0"}]


def test_tail_asks_for_its_channels_and_patterns_wrapped_and_shows_its_key(fake, tail):
    gateway = fake(stream(wrapped("a", "x")))
    follower = tail("a/b c", "caf\u00e9", "--pattern", "o.*", "--url", gateway.url + "/base/", "--key", "s3cret",
                    "--count", "1")
    assert follower.ends() == 0
    request = gateway.requests[0]
    assert request.target == "/base/events?wrap=1&channel=a%2Fb%20c&channel=caf%C3%A9&pattern=o.%2A"
    assert request.headers["authorization"] == "Bearer s3cret"
    assert request.headers["accept"] == "text/event-stream"
    assert "last-event-id" not in request.headers


def test_tail_reconnects_and_resumes_with_the_last_id(fake, tail):
    gateway = fake(stream(wrapped("a", "1", None, "5-0"), b"id: 6-0\ndata: half an ev"),
                   stream(wrapped("a", "2")),
                   stream(wrapped("a", "3", None, "9-1")),
                   stream(wrapped("a", "4")))
    follower = tail("a", "--url", gateway.url, "--count", "4")
    assert follower.ends() == 0
    assert [line[-1] for line in follower.out] == ["1", "2", "3", "4"]
    assert [r.headers.get("last-event-id") for r in gateway.requests] == [None, "5-0", "5-0", "9-1"]
    assert follower.err == ["sluice tail: connected",
                            "sluice tail: disconnected: the gateway closed the stream"] * 3 + [
                            "sluice tail: connected"]


def test_tail_begins_behind_a_given_id(fake, tail):
    gateway = fake(stream(), stream(wrapped("a", "x")))
    assert tail("a", "--url", gateway.url, "--last-id", "4-2", "--count", "1").ends() == 0
    assert [r.headers.get("last-event-id") for r in gateway.requests] == ["4-2", "4-2"]


def test_tail_waits_as_long_as_the_stream_says(fake, tail):
    gateway = fake(stream(retry=900), stream(retry=100), stream(wrapped("a", "x")))
    assert tail("a", "--url", gateway.url, "--count", "1").ends() == 0
    first, second, third = (r.at for r in gateway.requests)
    assert 0.9 <= second - first < 1.9
    assert 0.1 <= third - second < 0.9


def test_tail_backs_off_while_it_is_refused_and_says_so_once(fake, tail):
    sorry = refusal(503, "not now")
    gateway = fake(stream(retry=200), sorry, sorry, sorry, stream(wrapped("a", "x"), retry=200))
    follower = tail("a", "--url", gateway.url, "--count", "1")
    assert follower.ends(15) == 0
    times = [r.at for r in gateway.requests]
    waits = [b - a for a, b in zip(times, times[1:])]
    assert [w >= least for w, least in zip(waits, (0.2, 0.2, 0.4, 0.8))] == [True] * 4, waits
    assert sum(waits) < 5
    assert follower.err == ["sluice tail: connected",
                            "sluice tail: disconnected: the gateway closed the stream",
                            "sluice tail: connected"]


def test_tail_waits_as_long_as_a_refusal_asks(fake, tail):
    gateway = fake(stream(retry=100), refusal(429, "slower", "Retry-After: 1\r\n"), stream(wrapped("a", "x")))
    assert tail("a", "--url", gateway.url, "--count", "1").ends() == 0
    assert gateway.requests[2].at - gateway.requests[1].at >= 1


def test_tail_starts_before_its_gateway(fake, tail):
    port = free_port()
    follower = tail("a", "--url", f"http://127.0.0.1:{port}", "--count", "1")
    until(lambda: follower.err, 5, "the first refusal")
    assert follower.err[0].startswith("sluice tail: disconnected: ")
    gateway = fake(stream(wrapped("a", "x")), port=port)
    assert follower.ends(15) == 0
    assert follower.out == ["a x"]
    assert len(gateway.requests) == 1
    assert follower.err[1:] == ["sluice tail: connected"]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_tail_ends_when_it_is_refused_for_good(fake, tail, status):
    gateway = fake(stream(retry=100), refusal(status, "you may not"))
    follower = tail("a", "--url", gateway.url)
    assert follower.ends() == 1
    assert follower.err[-1] == f"sluice tail: refused: {status}: you may not"
    assert len(gateway.requests) == 2


def test_tail_ends_when_what_answers_is_no_event_stream(fake, tail):
    gateway = fake(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nhaha")
    follower = tail("a", "--url", gateway.url)
    assert follower.ends() == 1
    assert "no text/event-stream" in follower.err[-1]
    assert follower.out == []


def test_tail_warns_of_a_gap_and_goes_on(fake, tail):
    gap = b'event: sluice.gap\nid: 9-0\ndata: {"channel":"a","reason":"redis","from":null}\n\n'
    gateway = fake(stream(gap, wrapped("a", "x")))
    follower = tail("a", "--url", gateway.url, "--count", "1")
    assert follower.ends() == 0
    assert follower.out == ["a x"]
    assert "sluice tail: warning: gap in a (redis): messages may have been missed" in follower.err


def test_tail_counts_a_busy_gateway_as_a_refusal(fake, tail):
    busy = (STREAM.split(b": subscribed")[0] % 100
            + b'event: sluice.busy\ndata: {"error":"too many connections"}\n\n')
    gateway = fake(busy, busy, busy, stream(wrapped("a", "x")))
    follower = tail("a", "--url", gateway.url, "--count", "1")
    assert follower.ends() == 0
    assert follower.err == ["sluice tail: disconnected: too many connections", "sluice tail: connected"]
    times = [r.at for r in gateway.requests]
    assert times[3] - times[2] >= 0.4


def test_tail_leaves_out_the_other_control_events(fake, tail):
    control = b"event: sluice.head\nid: 3-0\ndata: {}\n\nevent: sluice.ping\ndata: {}\n\n"
    gateway = fake(stream(control), stream(wrapped("a", "x")))
    follower = tail("a", "--url", gateway.url, "--count", "1")
    assert follower.ends() == 0
    assert follower.out == ["a x"]
    assert gateway.requests[1].headers["last-event-id"] == "3-0"


def test_tail_counts_a_silent_stream_as_dead(fake, tail):
    gateway = fake(stream())
    gateway.acts = [gateway.hold(stream()), stream(wrapped("a", "x"))]
    follower = tail("a", "--url", gateway.url, "--idle", "1", "--count", "1")
    assert follower.ends() == 0
    assert "sluice tail: disconnected: nothing heard for 1 s" in follower.err
    assert 1 <= gateway.requests[1].at - gateway.requests[0].at < 3


def test_tail_counts_a_heartbeat_as_life(fake, tail):
    def beat(conn):
        conn.sendall(stream())
        for _ in range(8):
            time.sleep(0.25)
            conn.sendall(b":\n\n")
        conn.sendall(wrapped("a", "x"))
    gateway = fake(beat)
    follower = tail("a", "--url", gateway.url, "--idle", "1", "--count", "1")
    assert follower.ends() == 0
    assert follower.err == ["sluice tail: connected"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_tail_with_zero(fake, tail, number):
    gateway = fake(stream())
    gateway.acts = [gateway.hold(stream(wrapped("a", "x")))]
    follower = tail("a", "--url", gateway.url)
    follower.prints("a x")
    follower.child.send_signal(number)
    assert follower.ends(2) == 0
    assert follower.err == ["sluice tail: connected"]


def test_a_signal_ends_tail_while_it_waits_for_its_next_try(tail):
    follower = tail("a", "--url", f"http://127.0.0.1:{free_port()}")
    until(lambda: follower.err, 5, "the first refusal")
    follower.child.send_signal(signal.SIGTERM)
    assert follower.ends(1) == 0


def test_a_signal_ends_tail_while_its_own_reader_pauses(fake, tail):
    def three_pages_at_a_time(conn):
        # So the pipe's 16 pages are not filled exactly: a write of all three would block with one page left.
        conn.sendall(stream())
        for _ in range(40):
            conn.sendall(wrapped("a", "x" * 1000) * 9)
            time.sleep(0.01)
        gateway.over.wait(30)
    gateway = fake(three_pages_at_a_time)
    follower = tail("a", "--url", gateway.url, collect=False)
    follower.says("sluice tail: connected")
    time.sleep(0.7)
    follower.child.send_signal(signal.SIGTERM)
    assert follower.child.wait(2) == 0


def test_tail_ends_quietly_when_its_reader_has_gone(fake, tail):
    gateway = fake(stream())
    gateway.acts = [gateway.hold(stream(wrapped("a", "x")))]
    follower = tail("a", "--url", gateway.url, collect=False)
    assert follower.child.stdout.readline() == b"a x\n"
    follower.child.stdout.close()
    assert follower.child.wait(2) == 0
    follower.readers[0].join(5)
    assert follower.err == ["sluice tail: connected"]


def test_tail_says_when_its_output_cannot_be_written(fake):
    gateway = fake(stream(wrapped("a", "x")))
    with open("/dev/full", "wb") as full:
        done = subprocess.run([binary(), "tail", "a", "--url", gateway.url], stdout=full, stderr=subprocess.PIPE,
                              timeout=10, env=plain_env(), check=False)
    assert done.returncode == 1
    assert b"standard output: No space left on device" in done.stderr


def test_tail_and_publish_reach_a_unix_socket(fake, tail, tmp_path):
    path = str(tmp_path / "s")
    gateway = fake(stream(wrapped("a", "x")), b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"receivers\":1}",
                   path=path)
    assert tail("a", "--unix", path, "--count", "1").ends() == 0
    done = publish("a", "--unix", path, "--data", "x")
    assert (done.returncode, done.stdout) == (0, b'{"receivers":1}\n')
    assert [r.target for r in gateway.requests] == ["/events?wrap=1&channel=a", "/publish/a"]


def test_what_a_publisher_sends_cannot_drive_the_terminal(fake, tail):
    gateway = fake(stream(wrapped("a", "\x1b[2J\x07\u009b31m")))
    follower = tail("a", "--url", gateway.url, "--count", "1")
    assert follower.ends() == 0
    assert follower.out == ["a \\x1b[2J\\x07\\x9b31m"]


@pytest.mark.parametrize("args, word", [
    ([], "channel"), ([""], "channel"), (["a", "--colour"], "--colour"), (["a", "--count", "0"], "--count"),
    (["a", "--url", "ftp://x"], "--url"), (["a", "--last-id", "1\n2"], "--last-id"), (["a", "--idle", "x"], "--idle"),
])
def test_tail_called_wrongly_ends_with_two(tail, args, word):
    follower = tail(*args)
    assert follower.ends() == 2
    assert len(follower.err) == 1 and word in follower.err[0]


# -- publish -----------------------------------------------------------------------------------------

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"receivers\":2}"


def test_publish_posts_the_message_and_prints_the_answer(fake):
    gateway = fake(ANSWER)
    done = publish("orders/1 \u00e9?", "--event", "cre ated&x", "--data", "hello", "--url", gateway.url,
                   "--key", "s3cret")
    assert (done.returncode, done.stdout, done.stderr) == (0, b'{"receivers":2}\n', b"")
    request = gateway.requests[0]
    assert request.method == "POST"
    assert request.target == "/publish/orders%2F1%20%C3%A9%3F?event=cre%20ated%26x"
    assert request.headers["authorization"] == "Bearer s3cret"
    assert request.body == b"hello"


@pytest.mark.parametrize("args", [[], ["--data", "-"]])
def test_publish_takes_standard_input_as_it_is(fake, args):
    gateway = fake(ANSWER)
    data = bytes(range(256)) * 1000 + b"\n"
    assert publish("a", "--url", gateway.url, *args, data=data).returncode == 0
    assert gateway.requests[0].body == data
    assert "expect" not in gateway.requests[0].headers


def test_publish_sends_an_empty_message_and_a_channel_of_dots(fake):
    gateway = fake(ANSWER)
    assert publish("..", "--url", gateway.url, "--data", "").returncode == 0
    assert (gateway.requests[0].target, gateway.requests[0].body) == ("/publish/..", b"")


def test_publish_once_goes_as_the_idempotency_key(fake):
    gateway = fake(ANSWER)
    assert publish("a", "--url", gateway.url, "--data", "x", "--once", "a b&c").returncode == 0
    assert gateway.requests[0].target == "/publish/a?key=a%20b%26c"
    publish("a", "--url", gateway.url, "--data", "x", "--event", "e", "--once", "k")
    assert gateway.requests[1].target == "/publish/a?event=e&key=k"


def test_publish_takes_gateway_and_key_from_the_environment(fake):
    gateway = fake(ANSWER)
    done = publish("a", "--data", "x", SLUICE_URL=gateway.url, SLUICE_KEY="from-env")
    assert done.returncode == 0
    assert gateway.requests[0].headers["authorization"] == "Bearer from-env"
    publish("a", "--data", "x", "--key", "flag", SLUICE_URL=gateway.url, SLUICE_KEY="from-env")
    assert gateway.requests[1].headers["authorization"] == "Bearer flag"


@pytest.mark.parametrize("status", [400, 401, 403, 413, 503])
def test_publish_tells_the_gateways_error_and_ends_with_one(fake, status):
    gateway = fake(refusal(status, "because of this"))
    done = publish("a", "--data", "x", "--url", gateway.url)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == f"sluice publish: {status}: because of this\n"


def test_publish_tells_that_nobody_answers():
    done = publish("a", "--data", "x", "--url", f"http://127.0.0.1:{free_port()}")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"sluice publish: ") and b"onnect" in done.stderr


def test_publish_tells_that_the_answer_broke_off(fake):
    gateway = fake(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    done = publish("a", "--data", "x", "--url", gateway.url)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"sluice publish: ")


@pytest.mark.parametrize("args, word", [
    ([], "channel"), (["a", "b"], "one channel"), ([""], "empty"), (["a", "--data"], "--data"),
    (["a", "--url", "127.0.0.1:8080"], "--url"), (["a", "--key", "x\r\nY: 1"], "--key"),
])
def test_publish_called_wrongly_ends_with_two(args, word):
    done = publish(*args)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1 and word in done.stderr.decode()


@pytest.mark.parametrize("command", ["publish", "tail"])
def test_help_is_printed_on_standard_output(command):
    done = subprocess.run([binary(), command, "--help"], capture_output=True, timeout=10, env=plain_env(), check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(f"Usage: sluice {command} CHANNEL".encode()) and b"--key" in done.stdout
