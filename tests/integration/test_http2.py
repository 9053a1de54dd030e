"""HTTP/2, over TLS by ALPN and in clear by prior knowledge: the same as HTTP/1.1, many at a time."""

import subprocess
import time

import pytest

from harness import http, http2, tls
from harness.http2 import Client, Setting
from harness.process import until
from harness.tls import pair  # noqa: F401

MEGABYTE = 1 << 20
ENHANCE_YOUR_CALM, CANCEL, REFUSED_STREAM, NO_ERROR, PROTOCOL_ERROR = 11, 8, 7, 0, 1


@pytest.fixture
def start_both(start_gateway, pair):
    """A gateway with `both`: {"tls": address, "clear": address}, and `secure`, the first of them."""
    def start(*args, **settings):
        gateway = start_gateway(*args, **{"tls": pair.settings,
                                          "listen": ["http://127.0.0.1:0", "127.0.0.1:0"], **settings})
        gateway.secure = http2.secure(gateway.addresses[1], pair)
        gateway.both = {"tls": gateway.secure, "clear": gateway.address}
        return gateway
    return start


@pytest.fixture
def gateway(start_both):
    return start_both()


@pytest.fixture(params=["tls", "clear"])
def client(request, gateway):
    with Client(gateway.both[request.param]) as connection:
        yield connection


# -- it is the same -------------------------------------------------------------------------------------

@pytest.mark.threads
def test_a_stream_a_publish_and_the_page_share_a_connection(client, gateway):
    stream = client.subscribe("one")
    other = gateway.subscribe("one")
    assert client.post("/publish/one", b"over http/2").json() == {"receivers": 2}
    assert stream.data(1) == other.data(1) == ["over http/2"]
    page = client.get("/")
    assert page.status == 200 and page.body == gateway.get("/").body
    assert page.header("etag") and page.header("content-length") == str(len(page.body))
    assert gateway.metric("sluice_http2_connections") == 1
    assert not stream.over


def test_answers_have_the_headers_of_http_1_in_lower_case_and_none_of_its_connection(client, gateway):
    for path in ("/healthz", "/nothing", "/page.css", "/metrics"):
        mine, theirs = client.get(path), gateway.get(path)
        assert mine.status == theirs.status
        names = {name for name, _ in theirs.headers} - {"connection"}
        assert {name for name, _ in mine.headers} == names
    stream = client.request("GET", "/events?channel=a")
    client.until(lambda: stream.status, 5, "the head of a stream")
    assert stream.status == 200
    assert stream.header("content-type") == "text/event-stream"
    assert stream.header("x-accel-buffering") == "no" and stream.header("connection") is None


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/nothing", 404), ("DELETE", "/healthz", 405), ("GET", "/publish/a", 405), ("BREW", "/", 405),
    ("GET", "/events?channel=%ff", 400), ("GET", "/events?a=%4", 400), ("GET", "/a#b", 400),
    ("POST", "/publish/a/../b", 400), ("POST", "/publish/sluice:a", 403),
    ("GET", "/" + "a" * 8192, 414),
])
def test_what_is_wrong_gets_the_status_that_http_1_gives_it(client, gateway, method, path, status):
    answer = client.request(method, path, body=b"" if method == "POST" else None).whole()
    assert answer.status == status, answer
    assert answer.error()
    assert gateway.request(method, path, body=b"" if method == "POST" else None).status == status
    assert client.get("/healthz").status == 200, "the connection goes on"


def test_head_and_options_have_no_body(client):
    for path in ("/", "/events?channel=a", "/healthz"):
        answer = client.request("HEAD", path).whole()
        assert answer.status == 200 and answer.body == b"" and answer.reset is None
    assert client.request("HEAD", "/nothing").whole().status == 404
    answer = client.request("OPTIONS", "/publish/a").whole()
    assert answer.status == 204 and answer.header("allow") == "POST, OPTIONS" and answer.body == b""


def test_the_headers_of_a_request_reach_who_asks_for_them(start_both):
    gateway = start_both(cors={"origins": ["https://shop.example"]})
    with Client(gateway.secure) as client:
        answer = client.get("/healthz", {"origin": "https://shop.example", "last-event-id": "7-1",
                                         "x-own": "x" * 300})
        assert answer.header("access-control-allow-origin") == "https://shop.example"
        assert client.get("/page.css", {"if-none-match": client.get("/page.css").header("etag")}).status == 304


def test_a_host_that_is_not_the_authority_is_400(client):
    assert client.get("/healthz", {"host": "elsewhere.example"}).status == 400
    assert client.get("/healthz", {"host": http.host_of(client.address)}).status == 200


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 300_000, MEGABYTE])
def test_bodies_of_any_size_arrive_whole_with_and_without_content_length(start_both, size):
    gateway = start_both(limits={"queue_bytes": 4 * MEGABYTE})
    with Client(gateway.secure) as client:
        stream = client.subscribe("sized")
        body = b"".join(b"%08d" % n for n in range(size // 8 + 1))[:size]
        assert client.post("/publish/sized", body).status == 200
        assert client.post("/publish/sized", body, {"content-length": str(size)}).status == 200
        assert stream.data(2) == [body.decode()] * 2


def test_an_answer_goes_through_a_small_window_bit_by_bit(gateway):
    with Client(gateway.secure, {Setting.INITIAL_WINDOW_SIZE: 100}) as client:
        assert client.get("/page.css").body == gateway.get("/page.css").body


@pytest.mark.threads
def test_thousands_of_messages_in_bursts_arrive_in_order_on_every_stream(start_both, shared_redis, name):
    gateway = start_both(shared_redis)
    with Client(gateway.secure) as client:
        streams = [client.subscribe(name) for _ in range(5)]
        for first in range(0, 6000, 3000):
            numbers = [str(n) for n in range(first, first + 3000)]
            shared_redis.pipeline([("PUBLISH", name, n) for n in numbers])
            for stream in streams:
                assert stream.data(3000, 15) == numbers
    assert gateway.metric("sluice_slow_disconnects_total") == 0


def test_curl_speaks_it_over_tls_and_in_clear(gateway, pair):
    for words in (["--http2", "--cacert", pair.cert, f"https://localhost:{gateway.ports[1]}/healthz"],
                  ["--http2-prior-knowledge", gateway.url + "/healthz"]):
        done = subprocess.run(["curl", "-s", "-S", "-w", "%{http_version} %{http_code}", "-o", "/dev/null",
                               "--resolve", f"localhost:{gateway.ports[1]}:127.0.0.1", *words],
                              capture_output=True, text=True, timeout=10, check=False)
        assert done.stdout == "2 200", done


def test_a_client_without_alpn_or_with_http_1_alone_is_served_http_1(gateway, pair):
    for offer in (None, ["http/1.1"], ["spdy/3"], ["spdy/3", "http/1.1"]):
        context = tls.client(pair)
        if offer:
            context.set_alpn_protocols(offer)
        assert http.request(tls.Address(gateway.secure, context), "GET", "/healthz").status == 200


@pytest.mark.threads
@pytest.mark.parametrize("where", ["header", "query"])
def test_a_stream_resumes_behind_its_last_event_id(start_both, where):
    gateway = start_both(namespaces=[{"match": "*", "history": {}}])
    ids = [gateway.post("/publish/kept", f"n{n}").json()["id"] for n in range(5)]
    path, headers = "/events?live=0&channel=kept", {}
    if where == "header":
        headers = {"last-event-id": ids[1]}
    else:
        path += "&lastEventId=" + ids[1]
    with Client(gateway.secure) as client:
        stream = client.get(path, headers)
        assert stream.ended
        told = [block for block in stream.body.decode().split("\n\n") if "data: n" in block]
        assert [sorted(block.split("\n")) for block in told] == \
            [[f"data: n{n}", f"id: {ids[n]}"] for n in (2, 3, 4)]


@pytest.mark.threads
def test_a_long_history_goes_through_small_windows_whole_and_in_order(start_both):
    gateway = start_both(namespaces=[{"match": "*", "history": {}}], limits={"queue_bytes": 65536})
    for n in range(40):
        assert gateway.post("/publish/long", f"{n:06}" + "x" * 20_000).status == 200

    def numbers(stream, count):
        lines = "\n".join(b for b in stream.blocks(count) if "sluice." not in b).split("\n")
        return [line[6:12] for line in lines if line.startswith("data: ")]
    with Client(gateway.secure, {Setting.INITIAL_WINDOW_SIZE: 30_000}) as client:
        streams = [client.request("GET", "/events?channel=long&last=1000") for _ in range(5)]
        streams[2].hold = True
        expected = [f"{n:06}" for n in range(40)]
        for stream in streams[:2] + streams[3:]:
            assert numbers(stream, 41) == expected  # and sluice.head
        gateway.post("/publish/long", "live!!")
        assert numbers(streams[0], 1) == numbers(streams[4], 1) == ["live!!"]
        assert not streams[2].over, "a durable stream that is behind is not ended: it replays later"
        client.h2.increment_flow_control_window(2_000_000, streams[2].number)
        client.flush()
        assert [n for n in numbers(streams[2], 42) if n] == [*expected, "live!!"]


# -- each stream for itself ------------------------------------------------------------------------------

@pytest.mark.threads
def test_of_a_hundred_streams_on_a_connection_one_that_is_stuck_hurts_only_itself(
        start_both, shared_redis, name):
    gateway = start_both(shared_redis, limits={"queue_bytes": 65536})
    with Client(gateway.secure, {Setting.INITIAL_WINDOW_SIZE: 20_000}) as client:
        streams = [client.subscribe(name) for _ in range(100)]
        streams[50].hold = True
        bystander = gateway.subscribe(name)
        for n in range(30):
            shared_redis.publish(name, f"{n:06}" + "x" * 10_000)
            for stream in streams[:50] + streams[51:]:
                assert stream.data(1)[0][:6] == f"{n:06}"
            assert bystander.message().data[:6] == f"{n:06}"
        client.until(lambda: streams[50].over, 5, "the stuck one to be ended")
        assert streams[50].reset == CANCEL and not client.closed
        assert not any(s.over for s in streams[:50] + streams[51:])
        assert gateway.metric("sluice_slow_disconnects_total") == 1
        assert gateway.metric("sluice_connections") == 100
    gateway.wait_metric("sluice_connections", 1)


def test_a_stream_that_is_reset_is_forgotten_and_the_others_go_on(client, gateway):
    streams = [client.subscribe("reset") for _ in range(10)]
    client.reset(streams[3])
    gateway.wait_metric("sluice_connections", 9)
    gateway.post("/publish/reset", "x")
    for stream in streams[:3] + streams[4:]:
        assert stream.data(1) == ["x"]
    client.subscribe("reset")


@pytest.mark.threads
def test_a_connection_that_closes_its_window_and_never_opens_it_hurts_only_itself(
        start_both, shared_redis, name):
    gateway = start_both(shared_redis, limits={"queue_bytes": 65536})
    with Client(gateway.secure, window=0) as client:
        streams = [client.subscribe(name) for _ in range(10)]
        client.frozen = True
        bystander = gateway.subscribe(name)
        for n in range(30):
            shared_redis.publish(name, f"{n:06}" + "x" * 10_000)
            assert bystander.message().data[:6] == f"{n:06}"
        gateway.wait_metric("sluice_slow_disconnects_total", len(streams))
        gateway.wait_metric("sluice_connections", 1)
        client.until(lambda: all(s.reset == CANCEL for s in streams), 5, "all to be told so")


@pytest.mark.threads
def test_a_connection_that_reads_nothing_more_at_all_is_bounded_and_hurts_only_itself(
        start_both, shared_redis, name):
    gateway = start_both(shared_redis, limits={"queue_bytes": 65536})
    with Client(gateway.secure, {Setting.INITIAL_WINDOW_SIZE: 1 << 24}, receive_buffer=4096) as client:
        for _ in range(10):
            client.subscribe(name)
        bystander = gateway.subscribe(name)
        for n in range(120):
            shared_redis.publish(name, f"{n:06}" + "x" * 100_000)
            assert bystander.message(10).data[:6] == f"{n:06}"
        gateway.wait_metric("sluice_slow_disconnects_total", 10)
    gateway.wait_metric("sluice_sockets", 2)
    gateway.wait_metric("sluice_http2_connections", 0)


def test_a_stream_beyond_a_hundred_is_refused(gateway):
    """nghttp2 resets it while our settings are not acknowledged, and ends the connection after that."""
    with Client(gateway.secure) as client:
        client.frozen = True  # says nothing, so it acknowledges nothing
        client.frames(*(client.headers_frame(path="/events") for _ in range(101)))
        client.until(lambda: client.parts.get(201) and client.parts[201].over, 5, "it to be refused")
        assert client.parts[201].reset == REFUSED_STREAM
        assert gateway.metric("sluice_connections") == 100
        client.frozen = False
        client.flush()
        client.frames(client.headers_frame())
        assert client.ends() == PROTOCOL_ERROR
    gateway.wait_metric("sluice_connections", 0)


def test_a_peer_that_leaves_in_any_way_takes_all_its_streams_along(gateway):
    for leave in (Client.close, Client.vanish):
        for address in gateway.both.values():
            client = Client(address)
            for _ in range(20):
                client.subscribe("gone")
            assert gateway.metric("sluice_connections") == 20
            leave(client)
            gateway.wait_metric("sluice_connections", 0)
    gateway.wait_metric("sluice_http2_connections", 0)


# -- limits ---------------------------------------------------------------------------------------------

def test_a_body_over_the_limit_is_413_however_it_is_announced(start_both):
    gateway = start_both(limits={"body_bytes": 1000, "message_bytes": 1000})
    with Client(gateway.secure) as client:
        assert client.post("/publish/a", b"x" * 1001, {"content-length": "1001"}).status == 413
        part = client.request("POST", "/publish/a", body=b"x" * 1001, end=False).whole()
        assert part.status == 413 and "1000" in part.error()
        assert client.post("/publish/a", b"x" * 1000).status == 200


def test_headers_over_the_limit_are_431_and_far_over_it_a_reset(client, gateway):
    assert client.get("/healthz", {f"x-{n}": "y" * 400 for n in range(36)}).status == 200
    assert client.get("/healthz", {f"x-{n}": "y" * 400 for n in range(40)}).status == 431
    assert client.get("/healthz", {f"x-{n}": "" for n in range(64)}).status == 431
    assert client.get("/healthz", {f"x-{n}": "" for n in range(63)}).status == 200
    assert client.get("/healthz").status == 200


def test_a_body_that_stops_half_way_is_408_in_its_time_and_the_others_go_on(start_both):
    gateway = start_both(limits={"request_seconds": 1, "body_bytes": 1000, "message_bytes": 1000})
    with Client(gateway.secure) as client:
        stream = client.subscribe("half")
        began = time.monotonic()
        half = client.request("POST", "/publish/half", {"content-length": "100"}, b"x" * 50, end=False)
        slow = client.request("POST", "/publish/half", body=b"x", end=False)
        assert half.whole(5).status == 408 and slow.whole(5).status == 408
        assert 1 <= time.monotonic() - began < 4
        assert client.post("/publish/half", b"whole").status == 200
        assert stream.data(1) == ["whole"]
        assert gateway.metric("sluice_http_timeouts_total") == 2


def test_who_says_nothing_after_the_preface_is_ended_within_request_seconds(start_both):
    gateway = start_both(limits={"request_seconds": 1})
    for address in gateway.both.values():
        began = time.monotonic()
        with Client(address) as client:
            assert client.ends(6) == NO_ERROR
        assert 1 <= time.monotonic() - began < 5


def test_half_a_preface_is_a_request_that_does_not_come(start_both):
    gateway = start_both(limits={"request_seconds": 1})
    with http.connect(gateway.address) as sock, sock.makefile("rb") as file:
        sock.sendall(b"PRI * HTTP/2.0\r\n")
        assert http.read_response(file).status == 408


def test_a_stream_counts_as_a_connection_but_the_first_of_each_socket(start_both):
    gateway = start_both(limits={"connections": 5})
    with Client(gateway.secure) as client:
        streams = [client.subscribe("counted") for _ in range(5)]
        busy = client.request("GET", "/events?channel=counted").whole()
        assert busy.status == 200 and b"event: sluice.busy\n" in busy.body
        assert client.get("/").status == 503
        for again in (0, 4):
            client.reset(streams[again])
            gateway.wait_metric("sluice_connections", 4)
            until(lambda: client.get("/").status == 200, 5, "the question's own connection to be gone")
            streams[again] = client.subscribe("counted")
        assert client.get("/").status == 503


def test_a_stream_counts_for_its_address(start_both):
    gateway = start_both(limits={"per_address": 5})
    with Client(gateway.secure) as client:
        for _ in range(5):
            client.subscribe("counted")
        busy = client.request("GET", "/events?channel=counted").whole()
        assert b"event: sluice.busy\n" in busy.body


# -- drain and reload -----------------------------------------------------------------------------------

@pytest.mark.threads
def test_at_a_drain_streams_end_with_retry_and_their_connection_after_them(start_both):
    gateway = start_both(drain_seconds=2)
    with Client(gateway.secure) as client, Client(gateway.address) as idle:
        assert idle.get("/healthz").status == 200
        streams = [client.subscribe("drain") for _ in range(10)]
        gateway.child.terminate()
        assert idle.ends(3) == NO_ERROR
        client.until(lambda: client.goaway is not None, 5, "the notice")
        late, ready = (client.headers_frame(path=path) for path in ("/events?channel=late", "/readyz"))
        client.frames(late, ready)  # sent before it has read the notice
        client.until(lambda: all(f.stream_id in client.parts and client.parts[f.stream_id].ended
                                 for f in (late, ready)), 5, "both answers")
        assert b"sluice.busy" in client.parts[late.stream_id].body
        assert client.parts[ready.stream_id].status == 503
        for stream in streams:
            stream.whole(5)
            assert stream.ended and stream.reset is None
            assert stream.body.count(b"retry: ") == 2
        assert client.ends(5) == NO_ERROR
    gateway.stop()


@pytest.mark.threads
def test_a_stream_goes_on_while_the_certificate_changes(gateway, pair, tmp_path):
    other = tls.Pair(tmp_path, "two")
    with Client(gateway.secure) as client:
        stream = client.subscribe("renew")
        gateway.reload(tls=other.settings)
        address = http2.secure(gateway.secure, pair, other)
        def renewed():
            with http.connect(address) as sock:
                return sock.getpeercert(binary_form=True) == other.der()
        until(renewed, 5, "the new certificate")
        with Client(address) as fresh:
            assert fresh.post("/publish/renew", b"on").status == 200
        assert stream.data(1) == ["on"]


def test_an_idle_connection_of_http_2_costs_no_wake_ups(start_both):
    gateway = start_both(workers=1)
    with Client(gateway.secure) as client:
        client.subscribe("idle")
        with open(f"/proc/{gateway.child.pid}/status", encoding="ascii") as file:
            before = [line for line in file if line.startswith("voluntary")]
        time.sleep(1)
        with open(f"/proc/{gateway.child.pid}/status", encoding="ascii") as file:
            assert [line for line in file if line.startswith("voluntary")] == before
