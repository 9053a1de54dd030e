"""
Hostile clients. After each, memory and descriptors are back where they were, the process sleeps, and
a bystander's stream missed nothing and got nothing that is not its own: see `scene`.
"""

import contextlib
import itertools
import select
import socket
import time
from types import SimpleNamespace

import pytest

from harness import http
from harness.foreign import sockets_of
from harness.process import cpu_seconds, descriptors, memory, until
from harness.scene import REQUEST_SECONDS, TOLERANCE, scene, target  # noqa: F401
from harness.sse import Retry

MEGABYTE = 1 << 20
LINE, HOST = b"GET /healthz HTTP/1.1\r\n", b"Host: 127.0.0.1\r\n"


def read_ends(socks, seconds):
    """What each socket read until the gateway closed it; {sock: (bytes, seconds it took)}."""
    began, poll = time.monotonic(), select.epoll()
    got, ended, of = {s: b"" for s in socks}, {}, {s.fileno(): s for s in socks}
    for fd in of:
        poll.register(fd, select.EPOLLIN)
    while len(ended) < len(socks):
        left = began + seconds - time.monotonic()
        assert left > 0, f"{len(socks) - len(ended)} of {len(socks)} are still open after {seconds} s"
        for fd, _ in poll.poll(min(left, 1)):
            try:
                data = of[fd].recv(65536)
            except ConnectionResetError:
                data = b""
            got[of[fd]] += data
            if not data:
                ended[of[fd]] = (got[of[fd]], time.monotonic() - began)
                poll.unregister(fd)
    poll.close()
    return ended


# -- slow senders -------------------------------------------------------------------------------------

def test_a_thousand_half_open_requests_are_ended_with_408_and_others_are_served_meanwhile(scene):
    halves = itertools.cycle([b"G", b"GET /events?channel=", LINE + HOST + b"X: ",
                              b"POST /publish/a HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nhalf"])
    for _ in range(1000):
        scene.connect(next(halves))
    scene.tick()
    assert scene.gateway.post("/publish/somewhere", "x").status == 200
    ends = read_ends(scene.socks, REQUEST_SECONDS + 4)
    assert {said[:12] for said, _ in ends.values()} == {b"HTTP/1.1 408"}


def test_a_request_that_comes_byte_by_byte_is_ended_in_its_time_and_not_put_off_by_each_byte(scene):
    head = http.request_bytes(scene.address, "GET", "/events?channel=drip", {"X-Pad": "a" * 500})
    post = http.request_bytes(scene.address, "POST", "/publish/drip", body=b"b" * 500)
    cuts = {}
    for data, start in ((head, 1), (post, post.index(b"\r\n\r\n") + 5)):
        for _ in range(10):
            cuts[scene.connect(data[:start])] = iter(data[start:])
    began, open_socks = time.monotonic(), set(cuts)
    answers = dict.fromkeys(cuts, b"")
    while open_socks and time.monotonic() - began < REQUEST_SECONDS + 4:
        for sock in list(open_socks):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.send(bytes([next(cuts[sock])]))
        ready, _, _ = select.select(list(open_socks), [], [], 0.2)
        for sock in ready:
            answers[sock] += (data := sock.recv(4096))
            if not data:
                open_socks.discard(sock)
        scene.tick()
    assert not open_socks, "a byte now and then keeps a connection open"
    assert time.monotonic() - began > REQUEST_SECONDS - 0.5
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers.values())


def chunked(address):
    return http.request_bytes(address, "POST", "/publish/half", {"Transfer-Encoding": "chunked"})


def test_a_body_that_stops_half_way_is_ended_in_its_time(scene):
    half = http.request_bytes(scene.address, "POST", "/publish/half", body=b"x" * 30_000)[:-10_000]
    for n in range(100):
        scene.connect(half if n % 2 else chunked(scene.address) + b"4000\r\n" + b"x" * 10_000)
    scene.tick()
    ends = read_ends(scene.socks, REQUEST_SECONDS + 2 + 4)  # and 16 kB a second for the body
    assert all(said.startswith(b"HTTP/1.1 408 ") for said, _ in ends.values())


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_a_body_whose_sender_leaves_half_way_is_forgotten_at_once(scene, reset):
    half = http.request_bytes(scene.address, "POST", "/publish/half", body=b"x" * 30_000)[:-10_000]
    for n in range(200):
        sock = scene.connect(half if n % 2 else chunked(scene.address) + b"4000\r\n" + b"x" * 10_000)
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    scene.leave()
    until(lambda: scene.gateway.metric("sluice_sockets") == 2, 1.5, "the connections to be gone")


# -- slow readers -------------------------------------------------------------------------------------

def test_clients_that_read_byte_by_byte_are_closed_as_slow_and_delay_nobody(scene):
    before = scene.gateway.metric("sluice_slow_disconnects_total")
    request = http.request_bytes(scene.address, "GET", f"/events?channel={scene.name}.big&channel=x")
    for _ in range(30):
        scene.connect(request, receive_buffer=4096)
    until(lambda: scene.gateway.metric("sluice_connections") == 31, 5, "the streams")
    reader, took = scene.gateway.subscribe(scene.name + ".big"), []
    for n in range(40):
        for _ in range(5):
            scene.redis.publish(scene.name + ".big", "x" * 50_000)
            assert len(reader.message().data) == 50_000
        for sock in scene.socks:
            with contextlib.suppress(ConnectionResetError, socket.timeout):
                sock.recv(1)
        began = time.monotonic()
        scene.tick()
        took.append(time.monotonic() - began)
        if scene.gateway.metric("sluice_slow_disconnects_total") == before + 30:
            break
        time.sleep(0.05)
    # Once it may have been the machine that stood still; who delays, delays again and again.
    assert sum(seconds >= 1 for seconds in took) <= 1, took
    assert scene.gateway.metric("sluice_slow_disconnects_total") == before + 30, n
    reader.close()


# -- heads --------------------------------------------------------------------------------------------

BOMBS = {
    "a value without end": (LINE + HOST + b"X: ", b"a" * 65536, 431),
    "a name without end": (LINE + HOST, b"a" * 65536, 431),
    "headers without end": (LINE + HOST, b"X: a\r\n" * 4096, 431),
    "cookies without end": (LINE + HOST, b"Cookie: a=b\r\n" * 4096, 431),
    "hosts without end": (LINE, b"Host: a\r\n" * 4096, 400),
    "a target without end": (b"GET /", b"a" * 65536, 414),
    "a query without end": (b"GET /events?", b"channel=a&" * 4096, 414),
    "a method without end": (b"", b"A" * 65536, 431),
    "line ends without end": (b"", b"\r\n" * 32768, 400),
}


def send_until_answered(sock, more, most):
    """Sends `more` again and again until an answer comes, or nothing more is taken; bytes sent."""
    sent, end = 0, time.monotonic() + 3
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, socket.timeout):
        while sent < most and time.monotonic() < end and not select.select([sock], [], [], 0)[0]:
            sent += sock.send(more)
    return sent


def test_a_head_bomb_is_refused_and_not_read_to_its_end(scene):
    for bomb, (begin, more, status) in BOMBS.items():
        for _ in range(10):
            sock = scene.connect(begin)
            assert send_until_answered(sock, more, 16 * MEGABYTE) < 16 * MEGABYTE, bomb
            with contextlib.suppress(ConnectionResetError), sock.makefile("rb") as file:
                answer = http.read_response(file)
                assert answer.status in (status, 400), (bomb, answer)
                assert answer.header("connection") == "close"
                answer.error()
        scene.leave()
        scene.tick()


def test_64_headers_and_16_kilobytes_of_head_are_still_read(scene):
    most = [("Host", "127.0.0.1")] + [(f"X-{n}", "a" * 200) for n in range(63)]
    assert http.request(scene.address, "GET", "/healthz", most).status == 200
    assert http.request(scene.address, "GET", "/healthz", [*most, ("X-More", "a")]).status == 431


def framing(*lines, body=b"5\r\nhello\r\n0\r\n\r\n", version=b"1.1"):
    return (version, b"".join(line + b"\r\n" for line in lines), body)


FRAMINGS = {
    "two lengths": framing(b"Content-Length: 5", b"Content-Length: 6", body=b"hello"),
    "one length twice": framing(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "two lengths in a line": framing(b"Content-Length: 5, 6", body=b"hello"),
    "one length twice in a line": framing(b"Content-Length: 5, 5", body=b"hello"),
    "a length, then chunked": framing(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "chunked, then a length": framing(b"Transfer-Encoding: chunked", b"Content-Length: 15"),
    "no length, then chunked": framing(b"Content-Length: 0", b"Transfer-Encoding: chunked"),
    "chunked twice": framing(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "chunked twice in a line": framing(b"Transfer-Encoding: chunked, chunked"),
    "chunked, then identity": framing(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    "gzip": framing(b"Transfer-Encoding: gzip, chunked"),
    "identity": framing(b"Transfer-Encoding: identity"),
    "nearly chunked": framing(b"Transfer-Encoding: xchunked"),
    "quoted chunked": framing(b'Transfer-Encoding: "chunked"'),
    "chunked behind a vertical tab": framing(b"Transfer-Encoding: \x0bchunked"),
    "no coding": framing(b"Transfer-Encoding:", b"Content-Length: 5", body=b"hello"),
    "a space before the colon": framing(b"Transfer-Encoding : chunked"),
    "a space before the name": framing(b" Transfer-Encoding: chunked"),
    "a folded line": framing(b"Transfer-Encoding:", b" chunked"),
    "a bare LF": framing(b"X: a\nTransfer-Encoding: chunked"),
    "a bare CR": framing(b"X: a\rTransfer-Encoding: chunked"),
    "a NUL": framing(b"Transfer-Encoding: chunked\0"),
    "chunked in HTTP/1.0": framing(b"Transfer-Encoding: chunked", version=b"1.0"),
    "a sign": framing(b"Content-Length: +5", body=b"hello"),
    "less than none": framing(b"Content-Length: -1", body=b"hello"),
    "hexadecimal": framing(b"Content-Length: 0x5", body=b"hello"),
    "a fraction": framing(b"Content-Length: 5.0", body=b"hello"),
    "an empty length": framing(b"Content-Length: ", body=b"hello"),
    "2^64 + 5": framing(b"Content-Length: 18446744073709551621", body=b"hello"),
    "2^32 + 5": framing(b"Content-Length: 4294967301", body=b"hello"),
    "a chunk of 2^64 + 5": framing(b"Transfer-Encoding: chunked",
                                   body=b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "a chunk of less than none": framing(b"Transfer-Encoding: chunked", body=b"-5\r\nhello\r\n"),
    "a chunk of 0x5": framing(b"Transfer-Encoding: chunked", body=b"0x5\r\nhello\r\n0\r\n\r\n"),
    "a chunk that is longer": framing(b"Transfer-Encoding: chunked", body=b"4\r\nhello\r\n0\r\n\r\n"),
    "a chunk with a bare LF": framing(b"Transfer-Encoding: chunked", body=b"5\nhello\n0\n\n"),
    "a chunk without size": framing(b"Transfer-Encoding: chunked", body=b"\r\nhello\r\n0\r\n\r\n"),
}


def test_a_request_whose_end_could_be_doubted_is_refused_and_nothing_behind_it_is_run(scene):
    smuggled = http.request_bytes(scene.address, "POST", "/publish/" + scene.name, body=b"smuggled")
    for case, (version, headers, body) in FRAMINGS.items():
        head = b"POST /publish/" + scene.name.encode() + b" HTTP/" + version + b"\r\n" + HOST + headers
        sock = scene.connect(head + b"\r\n" + body + smuggled)
        ((said, _),) = read_ends([sock], 5).values()
        assert said.split(b" ")[1] in (b"400", b"413", b"501"), (case, said)
        assert said.count(b"HTTP/1.1 ") == 1, (case, "nothing but the refusal", said)
        assert b"\r\nConnection: close\r\n" in said, case
        scene.tick()  # the bystander listens to that very channel


def test_requests_pipelined_behind_a_stream_are_never_run(scene):
    publish = http.request_bytes(scene.address, "POST", "/publish/" + scene.name, body=b"smuggled")
    for n in range(50):
        scene.connect(http.request_bytes(scene.address, "GET", f"/events?channel={scene.name}.own") +
                      publish * n)
    until(lambda: scene.gateway.metric("sluice_connections") == 51, 5, "the streams")
    for sock in scene.socks:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError, socket.timeout):
            sock.settimeout(0.5)
            sock.sendall(publish * 2000)
    scene.tick()
    scene.redis.publish(scene.name + ".own", "for each")
    for sock in scene.socks:  # ended, or served as if nothing had been sent: no third way
        sock.settimeout(5)
        said = b""
        while b"data: for each\n\n" not in said and (data := sock.recv(65536)):
            said += data
        assert said.startswith(b"HTTP/1.1 200 OK\r\n") and said.count(b"HTTP/1.1") == 1
        assert b"smuggled" not in said and b"data: for each\n\n" in said


# -- many ---------------------------------------------------------------------------------------------

def hurried(address, source, data):
    """One connect and disconnect; by a reset, so that 20,000 do not use up the ports."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.bind((source, 0))
        sock.settimeout(10)
        sock.connect(address)
        if data:
            sock.sendall(data)


@pytest.mark.deadline(60)
def test_twenty_thousand_connects_and_disconnects_in_a_row_leave_nothing(scene):
    stream = http.request_bytes(scene.address, "GET", "/events?channel=hurry&pattern=hurry.*")
    health = http.request_bytes(scene.address, "GET", "/healthz")
    ways = [stream, stream, stream[:20], health, health * 3, b"", stream, b"x"]
    before = scene.gateway.metric("sluice_accepted_total")
    for n in range(20_000):
        hurried(scene.address, f"127.0.0.{2 + n % 8}", ways[n % len(ways)])
        if n % 2000 == 0:
            scene.tick()
    # who says nothing never gets past the kernel; of the others a few may be gone before they are met
    assert scene.gateway.metric("sluice_accepted_total") - before > 15_000
    until(lambda: scene.redis.numsub("hurry") == 0, 10, "the channel to be left")


def test_streams_that_come_and_go_while_messages_come_hurt_nobody(scene):
    request = http.request_bytes(scene.address, "GET", f"/events?channel={scene.name}&channel=going")
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        socks = [scene.connect(request) for _ in range(40)]
        scene.redis.pipeline([("PUBLISH", "going", "x" * 2000)] * 20)
        scene.tick()
        for n, sock in enumerate(socks):
            if n % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        scene.leave()


# -- a peer that vanishes -------------------------------------------------------------------------------

@pytest.mark.root
def test_a_peer_that_vanishes_without_a_fin_is_found_within_two_minutes(netns, start_gateway, tmp_path):
    """
    Two minutes by the options of its socket; that the kernel and the gateway act on them is then seen
    with the same options, set to short times from outside.
    """
    path = str(tmp_path / "s")
    gateway = start_gateway(within=netns, listen=["127.0.0.1:0", f"unix:{path}"],
                            stream={"heartbeat_seconds": 300}, limits={"request_seconds": 600})
    tcp, gateway.address = gateway.address, path
    bystander = gateway.subscribe("bystander")
    opened = descriptors(gateway.child.pid)
    with netns.inside():
        gone = [http.connect(tcp) for _ in range(9)]
    requests = {"/events?channel=idle": gone[:3], "/events?channel=written": gone[3:6]}
    for target, socks in requests.items():
        for sock in socks:
            sock.sendall(http.request_bytes(tcp, "GET", target))
    for sock in gone[6:]:
        sock.sendall(b"POST /publish/x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nhalf")
    gateway.wait_metric("sluice_sockets", 2 + len(gone))
    with sockets_of(gateway.child.pid, tcp[1]) as theirs:
        assert len(theirs) == len(gone)
        for sock in theirs:
            option = lambda name, sock=sock: sock.getsockopt(socket.IPPROTO_TCP, name)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            probed = option(socket.TCP_KEEPINTVL) * option(socket.TCP_KEEPCNT)
            assert 30 <= option(socket.TCP_KEEPIDLE) + probed <= 120
            assert 30_000 <= option(socket.TCP_USER_TIMEOUT) <= 120_000
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    netns.swallow(tcp[1])
    gateway.post("/publish/written", "nobody hears it")
    gateway.wait_metric("sluice_sockets", 2, 10)
    until(lambda: descriptors(gateway.child.pid) <= opened, 2, "the descriptors to be given back")
    gateway.post("/publish/bystander", "x")
    assert bystander.data(1) == ["x"]
    for sock in gone:
        sock.close()


# -- a descriptor limit of 64 -----------------------------------------------------------------------------

def test_with_64_descriptors_accepting_pauses_says_so_once_and_recovers_while_streams_go_on(
        start_gateway):
    gateway = start_gateway(within=SimpleNamespace(prefix=["prlimit", "--nofile=64:64"]),
                            limits={"request_seconds": 600})
    pid = gateway.child.pid
    streams = [gateway.subscribe("few") for _ in range(5)]
    crowd, told = [], 0
    with http.Connection(gateway.address) as inside:  # asks when nobody new can

        def metric(name):
            text = inside.request("GET", "/metrics").body.decode()
            return float(text.split(f"\n{name} ")[1].split("\n")[0])

        assert metric("sluice_accept_paused") == 0
        opened, used = descriptors(pid), memory(pid)
        for _ in range(2):
            crowd += [http.connect(gateway.address) for _ in range(100)]
            for sock in crowd[-100:]:
                sock.sendall(b"GET /healthz HTTP/1.1\r\n")
            until(lambda: metric("sluice_accept_paused") >= 1, 5, "accepting to pause")
            before, end = cpu_seconds(pid), time.monotonic() + 1.2
            while time.monotonic() < end:
                told += 1
                assert inside.request("POST", "/publish/few", body=str(told).encode()).status == 200
                assert [s.data(1) for s in streams] == [[str(told)]] * 5
                time.sleep(0.1)
            assert cpu_seconds(pid) - before < 0.6, "it spins at the limit"
            assert descriptors(pid) <= 64
        assert len(gateway.lines("descriptors are used up")) == 1
        assert not gateway.lines("accepting again")
        for sock in crowd:
            sock.close()
        until(lambda: metric("sluice_accept_paused") == 0, 5, "accepting to go on")
        assert gateway.get("/healthz").status == 200
        until(lambda: metric("sluice_sockets") == 6, 5, "the crowd to be gone")
        assert descriptors(pid) <= opened
        assert memory(pid) - used < TOLERANCE["asan"]
        assert len(gateway.lines("descriptors are used up")) == 1
        assert len(gateway.lines("accepting again")) == 1
    fresh = gateway.subscribe("few")
    gateway.post("/publish/few", "end")
    assert [s.data(1) for s in [*streams, fresh]] == [["end"]] * 6


def test_a_stream_over_what_the_descriptors_allow_is_told_busy_and_comes_back_later(start_gateway):
    gateway = start_gateway(within=SimpleNamespace(prefix=["prlimit", "--nofile=64:64"]))
    kept, busy = [], None
    while busy is None and len(kept) < 64:
        stream = gateway.stream("/events?channel=few")
        assert stream.status == 200, "an EventSource gives up for good on anything else"
        first, second = stream.next(), stream.next()
        assert isinstance(first, Retry)
        if getattr(second, "event", None) == "sluice.busy":
            busy = stream
        else:
            kept.append(stream)
    assert busy and 16 <= len(kept) < 64
    assert busy.rest() == []
    assert not gateway.lines("descriptors are used up")
