"""Streams: what a client that asks for channels and patterns gets."""

import re

import pytest

from harness import http
from harness.process import until
from harness.sse import Comment, Event, Retry, Stream

pytestmark = pytest.mark.threads


def test_a_message_published_in_redis_arrives_as_an_unnamed_event(gateway, shared_redis):
    stream = gateway.subscribe("news")
    shared_redis.publish("news", "hello")
    assert stream.message() == Event("message", "hello", None)


def test_several_channels_arrive_on_one_connection_in_the_order_of_publishing(gateway, shared_redis):
    stream = gateway.subscribe("first", "second", "third")
    sent = [(c, f"{c} {n}") for n in range(20) for c in ("first", "second", "third")]
    shared_redis.pipeline([("PUBLISH", c, d) for c, d in sent])
    assert stream.data(len(sent)) == [d for _, d in sent]


def test_a_stream_gets_only_the_channels_it_asked_for(gateway, shared_redis):
    stream, other = gateway.subscribe("mine"), gateway.subscribe("theirs")
    shared_redis.publish("theirs", "not for me")
    shared_redis.publish("mine", "for me")
    assert stream.data(1) == ["for me"]
    assert other.data(1) == ["not for me"]


def test_a_pattern_delivers_every_channel_that_matches_and_no_other(gateway, shared_redis):
    stream = gateway.subscribe(pattern="orders.*")
    for channel in ("orders.1", "order", "orders.eu.2", "xorders.3", "orders."):
        shared_redis.publish(channel, channel)
    shared_redis.publish("orders.end", "end")
    assert stream.data(4) == ["orders.1", "orders.eu.2", "orders.", "end"]


@pytest.mark.parametrize("channels, patterns", [
    (["{}.a", "{}.a"], []),
    (["{}.a"], ["{}.*"]),
    ([], ["{}.*", "{}.a*", "{}?a"]),
    (["{}.a", "{}.b"], ["{}.*", "?{}.a", "{}.[ab]", "*"]),
], ids=["channel twice", "channel and pattern", "patterns", "all kinds"])
def test_one_publication_reaches_a_connection_once_however_its_names_overlap(
        gateway, shared_redis, name, channels, patterns):
    stream = gateway.subscribe(*(c.format(name) for c in channels),
                               pattern=[p.format(name) for p in patterns])
    for data in ("0", "1", "2", "3", "4", "end"):
        shared_redis.publish(name + ".a", data)
    assert stream.data(6) == ["0", "1", "2", "3", "4", "end"]


def test_the_same_text_published_twice_is_two_messages(gateway, shared_redis):
    stream = gateway.subscribe("dup.same", pattern="dup.*")
    shared_redis.pipeline([("PUBLISH", "dup.same", "again")] * 3 + [("PUBLISH", "dup.same", "end")])
    assert stream.data(4) == ["again", "again", "again", "end"]


def test_overlapping_clients_each_get_their_own_view(gateway, shared_redis):
    """One client's pattern must not make another client's channel deliver twice or never."""
    plain = gateway.subscribe("view.a")
    pattern = gateway.subscribe(pattern="view.*")
    both = gateway.subscribe("view.a", pattern="view.*")
    for n in range(10):
        shared_redis.publish("view.a", n)
    shared_redis.publish("view.b", "b")
    shared_redis.publish("view.a", "end")
    numbers = [str(n) for n in range(10)]
    assert plain.data(11) == numbers + ["end"]
    assert pattern.data(12) == numbers + ["b", "end"]
    assert both.data(12) == numbers + ["b", "end"]


def test_a_second_client_on_a_live_channel_hears_the_next_message(gateway, shared_redis):
    first = gateway.subscribe("late")
    shared_redis.publish("late", "1")
    assert first.data(1) == ["1"]  # until then it may still be on its way to the gateway
    second = gateway.subscribe("late")
    shared_redis.publish("late", "2")
    assert first.data(1) == ["2"]
    assert second.data(1) == ["2"]


def test_without_a_channel_or_pattern_the_channel_is_default(gateway, shared_redis):
    stream = gateway.stream("/events").subscribed()
    shared_redis.publish("default", "by default")
    assert stream.data(1) == ["by default"]


def test_api_events_is_the_same_stream(gateway, shared_redis):
    stream = gateway.stream("/api/events?channel=api").subscribed()
    shared_redis.publish("api", "same")
    assert stream.data(1) == ["same"]


def test_percent_encoded_names_are_decoded(gateway, shared_redis):
    stream = gateway.stream("/events?channel=caf%C3%A9+au%20lait%2B&pattern=%C3%BC.%2A").subscribed()
    shared_redis.publish("café au lait+", "coffee")
    shared_redis.publish("ü.x", "umlaut")
    assert stream.data(2) == ["coffee", "umlaut"]


def test_the_stream_begins_with_retry_and_then_says_subscribed(gateway):
    stream = gateway.stream("/events?channel=start")
    first = stream.next()
    assert isinstance(first, Retry)
    assert 2000 <= first.ms <= 6000
    assert stream.next() == Comment("subscribed")


def test_retry_has_a_jitter_of_its_own_for_each_connection(gateway):
    values = {gateway.stream("/events?channel=jitter").next().ms for _ in range(12)}
    assert len(values) > 3


def test_retry_starts_from_the_configured_value(start_gateway):
    gateway = start_gateway(stream={"retry_ms": 500})
    values = [gateway.stream().next().ms for _ in range(8)]
    assert all(500 <= v <= 1500 for v in values), values


def test_the_headers_are_those_of_the_protocol(gateway):
    response = gateway.stream("/events?channel=headers").response
    assert response.status == 200
    assert response.header("content-type") == "text/event-stream"
    assert response.header("cache-control") == "no-cache, no-transform"
    assert response.header("x-accel-buffering") == "no"
    assert response.header("content-length") is None
    assert response.header("access-control-allow-origin") is None


def test_head_answers_the_headers_and_subscribes_to_nothing(gateway, shared_redis):
    response = gateway.request("HEAD", "/events?channel=head.only")
    assert response.status == 200
    assert response.header("content-type") == "text/event-stream"
    assert response.body == b""
    assert shared_redis.numsub("head.only") == 0
    assert gateway.get("/api/channels?prefix=head.&limit=1").json()["channels"] == []


def test_head_refuses_what_get_refuses(gateway):
    assert gateway.request("HEAD", "/events?channel=a*b").status == 400


def test_http_1_0_clients_get_the_stream_too(gateway, shared_redis):
    sock = http.connect(gateway.address)
    with sock, sock.makefile("rb", buffering=0) as file:
        sock.sendall(b"GET /events?channel=old HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        head = http.read_head(file)
        assert head.status == 200
        assert head.header("transfer-encoding") is None
        seen = b""
        while b": subscribed\n\n" not in seen:
            seen += sock.recv(4096)
        shared_redis.publish("old", "still here")
        while b"data: still here\n\n" not in seen and b"data:still here\n\n" not in seen:
            data = sock.recv(4096)
            assert data
            seen += data


def test_an_idle_stream_gets_a_comment_as_heartbeat(start_gateway):
    gateway = start_gateway(stream={"heartbeat_seconds": 1})
    stream = gateway.subscribe("quiet")
    for _ in range(3):
        assert isinstance(stream.next(2.5), Comment)


def test_heartbeat_event_sends_a_ping_event_instead(start_gateway):
    gateway = start_gateway(stream={"heartbeat_seconds": 1})
    stream = gateway.subscribe("quiet", heartbeat="event")
    for _ in range(2):
        item = stream.next(2.5)
        assert isinstance(item, Event) and item.event == "sluice.ping"


def test_a_busy_stream_gets_no_heartbeat(start_gateway):
    gateway = start_gateway(stream={"heartbeat_seconds": 2})
    stream = gateway.subscribe("busy")
    for n in range(25):
        gateway.post("/publish/busy", str(n))
        assert stream.next(1) == Event("message", str(n))


def test_wrap_carries_channel_event_data_and_id(gateway, shared_redis):
    stream = gateway.subscribe("wrapped", pattern="env.*", wrap="1")
    shared_redis.publish("wrapped", 'say "hi"\n')
    plain = stream.message()
    assert plain.event == "message" and plain.id is None
    assert plain.json() == {"channel": "wrapped", "event": None, "data": 'say "hi"\n', "id": None}
    shared_redis.publish("env.w", '{"event":"paid","data":{"total": 3}}')
    assert stream.message().json() == {
        "channel": "env.w", "event": "paid", "data": '{"total":3}', "id": None}


def test_plain_and_wrapped_clients_share_a_channel(gateway, shared_redis):
    plain, wrapped = gateway.subscribe("mixed"), gateway.subscribe("mixed", wrap="1")
    shared_redis.publish("mixed", "x")
    assert plain.message().data == "x"
    assert wrapped.message().json()["data"] == "x"


def test_an_envelope_becomes_event_name_and_data(gateway, shared_redis):
    stream = gateway.subscribe("env.a")
    shared_redis.publish("env.a", '{"event":"created","data":"plain text"}')
    shared_redis.publish("env.a", '{"data":{"a": [1, 2], "b": null}}')
    shared_redis.publish("env.a", '{"event":null,"data":7}')
    assert stream.message() == Event("created", "plain text")
    assert stream.message() == Event("message", '{"a":[1,2],"b":null}')
    assert stream.message() == Event("message", "7")


@pytest.mark.parametrize("payload", [
    "no json", '{"event":"x"}', '["data"]', '{"event":"a\\nb","data":1}', '{"event":5,"data":1}',
    '{"data":1} trailing', "[" * 5000,
])
def test_a_payload_that_is_no_envelope_goes_out_raw_and_is_counted(
        gateway, shared_redis, name, payload):
    stream = gateway.subscribe("env." + name)
    before = gateway.metric("sluice_no_envelope_total")
    shared_redis.publish("env." + name, payload)
    assert stream.message() == Event("message", payload)
    gateway.wait_metric("sluice_no_envelope_total", before + 1)


def test_a_pattern_over_two_namespaces_decodes_just_the_envelopes(gateway, shared_redis):
    stream = gateway.subscribe(pattern="*.two")
    envelope = '{"event":"e","data":"d"}'
    shared_redis.publish("env.two", envelope)
    shared_redis.publish("other.two", envelope)
    assert stream.message() == Event("e", "d")
    assert stream.message() == Event("message", envelope)


def test_the_channel_prefix_is_added_in_redis_and_taken_off_for_clients(
        shared_redis, start_gateway):
    gateway = start_gateway(shared_redis, channel_prefix="app:")
    stream = gateway.subscribe("news", pattern="p.*", wrap="1")
    shared_redis.publish("news", "without the prefix")
    shared_redis.publish("app:news", "direct")
    shared_redis.publish("app:p.1", "by pattern")
    assert gateway.post("/publish/news", "by http").json() == {"receivers": 1}
    got = [stream.message().json() for _ in range(3)]
    assert [(g["channel"], g["data"]) for g in got] == [
        ("news", "direct"), ("p.1", "by pattern"), ("news", "by http")]


def test_a_unix_socket_listener_streams_like_tcp(shared_redis, start_gateway, tmp_path):
    path = str(tmp_path / "gateway.sock")
    gateway = start_gateway(shared_redis, listen=["127.0.0.1:0", "unix:" + path])
    with Stream(path, "/events?channel=unix") as stream:
        stream.subscribed()
        shared_redis.publish("unix", "over a path")
        assert stream.data(1) == ["over a path"]
    assert http.request(path, "POST", "/publish/unix", body=b"x").status == 200
    assert gateway.get("/healthz").status == 200


def test_several_tcp_listeners_serve_the_same_hub(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis, listen=["127.0.0.1:0", "127.0.0.2:0"])
    second = Stream(("127.0.0.2", gateway.ports[1]), "/events?channel=two").subscribed()
    first = gateway.subscribe("two")
    shared_redis.publish("two", "both")
    assert first.data(1) == second.data(1) == ["both"]
    second.close()


def test_the_base_path_moves_every_endpoint(start_gateway):
    gateway = start_gateway(base_path="/live")
    stream = gateway.stream("/live/events?channel=b").subscribed()
    assert gateway.post("/live/publish/b", "x").status == 200
    assert stream.data(1) == ["x"]
    targets = {"GET": ["/", "/healthz", "/readyz", "/metrics", "/api/stats", "/api/channels", "/api/events"],
               "POST": ["/publish/b", "/invalidate", "/revalidate", "/webhooks/a", "/invalidations/ack"],
               "DELETE": ["/events", "/api/peers", "/invalidations"]}
    for method, paths in targets.items():
        for path in paths:
            assert gateway.request(method, path, body=b"x").status == 404, path
            if path not in ("/api/events", "/revalidate", "/webhooks/a"):  # endless, or not configured
                status = gateway.request(method, "/live" + path, body=b"x").status
                assert status in ((405,) if method == "DELETE" else (200, 501)), (path, status)
    assert "invalidation.secret" in gateway.post("/live/revalidate").error()
    assert "webhook" in gateway.post("/live/webhooks/a").error()


def test_a_client_that_leaves_is_noticed(gateway):
    before = gateway.metric("sluice_connections")
    streams = [gateway.subscribe("leaving") for _ in range(20)]
    gateway.wait_metric("sluice_connections", before + 20)
    for stream in streams:
        stream.close()
    until(lambda: gateway.metric("sluice_connections") <= before, 5, "the streams to be counted out")


def test_many_names_in_one_request_are_understood(gateway, shared_redis):
    names = [f"n{i}" for i in range(100)]
    stream = gateway.subscribe(*names)
    shared_redis.pipeline([("PUBLISH", n, n) for n in names])
    assert stream.data(100) == names


def test_an_unknown_query_parameter_does_no_harm(gateway, shared_redis):
    stream = gateway.stream("/events?channel=q&_=1699999999&t").subscribed()
    shared_redis.publish("q", "x")
    assert stream.data(1) == ["x"]


def test_curl_reads_the_stream(gateway, shared_redis):
    import subprocess
    from harness.process import spawn
    curl = spawn(["curl", "-sN", "--max-time", "20", gateway.url + "/events?channel=curl"],
                 stdout=subprocess.PIPE)
    try:
        until(lambda: shared_redis.numsub("curl") == 1, 5, "curl's subscription")
        shared_redis.publish("curl", "one\ntwo")
        seen = b""
        while not re.search(rb"data: ?one\ndata: ?two\n\n", seen):
            line = curl.stdout.readline()
            assert line, seen
            seen += line
    finally:
        curl.kill()
        curl.wait()
        curl.stdout.close()
