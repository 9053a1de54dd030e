"""Who may: keys and scopes, and what open mode still refuses."""

import hashlib

import pytest

from harness import http
from harness.gateway import Gateway

KEYS = {
    "all": ("s3cret-all", ["publish:*", "stats"]),
    "orders": ("s3cret-orders", ["publish:orders.*"]),
    "stats": ("s3cret-stats", ["stats"]),
    "peer": ("s3cret-peer", ["peer"]),
}


def bearer(name):
    return {"Authorization": "Bearer " + KEYS[name][0]}


def key_table():
    return [{"name": n, "sha256": hashlib.sha256(k.encode()).hexdigest(), "scopes": scopes}
            for n, (k, scopes) in KEYS.items()]


@pytest.fixture(scope="module")
def closed(shared_redis, module_makers):
    return module_makers.add(Gateway(shared_redis, open=False, keys=key_table()))


def test_publishing_without_a_key_is_401(closed):
    for target, body in (("/publish/orders.1", "x"), ("/publish", {"channel": "a", "data": 1})):
        response = closed.post(target, body)
        assert response.status == 401
        assert (response.header("www-authenticate") or "").startswith("Bearer")
        response.error()


@pytest.mark.parametrize("value", [
    "Bearer wrong", "Bearer ", "Bearer", "s3cret-all", "Basic czNjcmV0LWFsbDo=", "Bearer s3cret-al",
    "Bearer s3cret-all2", "Bearer s3cret-all, Bearer x", "",
])
def test_a_wrong_key_is_401(closed, value):
    assert closed.post("/publish/orders.1", "x", {"Authorization": value}).status == 401


def test_a_wrong_key_publishes_nothing(closed):
    stream = closed.subscribe("orders.none")
    closed.post("/publish/orders.none", "by nobody")
    closed.post("/publish/orders.none", "by a wrong key", {"Authorization": "Bearer wrong"})
    closed.post("/publish/orders.none", "by a wrong scope", bearer("stats"))
    closed.post("/publish/orders.none", "allowed", bearer("orders"))
    assert stream.data(1) == ["allowed"]


def test_the_scheme_word_is_not_case_sensitive(closed):
    assert closed.post("/publish/a", "x", {"Authorization": "bearer s3cret-all"}).status == 200


def test_a_scope_is_a_glob_of_channels(closed):
    assert closed.post("/publish/orders.eu.1", "x", bearer("orders")).status == 200
    response = closed.post("/publish/news", "x", bearer("orders"))
    assert response.status == 403
    response.error()
    assert closed.post("/publish/news", "x", bearer("all")).status == 200


def test_every_channel_of_a_json_publish_needs_the_scope(closed):
    stream = closed.subscribe("orders.batch")
    items = [{"channel": "orders.batch", "data": "no"}, {"channel": "news", "data": "x"}]
    assert closed.post("/publish", items, bearer("orders")).status == 403
    both = {"channel": ["orders.batch", "news"], "data": "no"}
    assert closed.post("/publish", both, bearer("orders")).status == 403
    assert closed.post("/publish/orders.batch", "yes", bearer("orders")).status == 200
    assert stream.data(1) == ["yes"]


@pytest.mark.parametrize("target", ["/metrics", "/api/stats", "/api/channels"])
def test_metrics_and_api_need_the_scope_stats(closed, target):
    assert closed.get(target).status == 401
    assert closed.get(target, bearer("orders")).status == 403
    assert closed.get(target, bearer("peer")).status == 403
    assert closed.get(target, bearer("stats")).status == 200


@pytest.mark.parametrize("target", ["/healthz", "/readyz", "/"])
def test_health_and_the_page_need_no_key(closed, target):
    assert closed.get(target).status == 200


def test_reading_needs_no_key(closed):
    assert closed.stream("/events?channel=a").status == 200
    assert closed.stream("/api/events?channel=a").status == 200


def test_nothing_is_trusted_for_its_address(start_gateway):
    """A proxy on the same host makes the internet loopback."""
    gateway = start_gateway(open=False)
    for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"Host": "localhost"}):
        assert gateway.post("/publish/a", "x", headers).status == 401


def test_the_error_never_repeats_the_key(closed):
    response = closed.post("/publish/a", "x", {"Authorization": "Bearer almost-s3cret"})
    assert "almost" not in response.body.decode()
    assert "almost" not in closed.log()


# -- open mode -----------------------------------------------------------------------------------

FOREIGN = ["https://evil.example", "http://evil.example:8080", "null", "http://127.0.0.1.evil.example",
           "http://localhost.evil.example", "https://user@127.0.0.1@evil.example"]


@pytest.mark.parametrize("origin", FOREIGN)
def test_open_mode_refuses_a_foreign_origin(gateway, origin):
    headers = {"Origin": origin}
    for response in (gateway.post("/publish/a", "x", headers), gateway.get("/api/stats", headers),
                     gateway.get("/metrics", headers), gateway.get("/events?channel=a", headers)):
        assert response.status == 403
        assert "rigin" in response.error()


BUS = [("POST", "/invalidate", b'{"keys":["a"]}'), ("GET", "/invalidations?peer=a", None),
       ("POST", "/invalidations/ack", b'{"session":"x","id":"1-0"}'), ("GET", "/api/peers", None)]


@pytest.mark.parametrize("method, target, body", BUS, ids=[t for _, t, _ in BUS])
def test_open_mode_keeps_the_bus_from_foreign_pages_too(gateway, method, target, body):
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
        answer = gateway.request(method, target, headers, body)
        assert answer.status == 403 and answer.error(), headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example",
                                  "localhost.evil.example", "192.0.2.1", "10.0.0.1:80"])
def test_open_mode_refuses_a_host_that_is_not_loopback(gateway, host):
    """Else a page could reach the gateway by DNS rebinding."""
    for response in (gateway.post("/publish/a", "x", {"Host": host}),
                     gateway.get("/events?channel=a", {"Host": host})):
        assert response.status == 403
        assert "ost" in response.error()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "127.0.0.53"])
def test_open_mode_serves_every_name_of_loopback(gateway, host):
    for value in (host, f"{host}:{gateway.ports[0]}"):
        assert gateway.post("/publish/a", "x", {"Host": value}).status == 200, value


def test_open_mode_serves_its_own_page(gateway):
    for name in ("127.0.0.1", "localhost"):
        authority = f"{name}:{gateway.ports[0]}"
        headers = {"Host": authority, "Origin": "http://" + authority}
        assert gateway.post("/publish/a", "x", headers).status == 200


def test_open_mode_lets_a_configured_origin_in(start_gateway):
    gateway = start_gateway(cors={"origins": ["https://shop.example"]})
    assert gateway.post("/publish/a", "x", {"Origin": "https://shop.example"}).status == 200
    assert gateway.post("/publish/a", "x", {"Origin": "https://evil.example"}).status == 403


def test_star_in_cors_does_not_widen_open_mode(start_gateway):
    gateway = start_gateway(cors={"origins": ["*"]})
    assert gateway.post("/publish/a", "x", {"Origin": "https://evil.example"}).status == 403


def test_open_mode_over_a_unix_socket_asks_for_no_host(start_gateway, tmp_path):
    path = str(tmp_path / "s")
    gateway = start_gateway(listen=["unix:" + path])
    assert gateway.post("/publish/a", "x", {"Host": "whatever"}).status == 200


@pytest.mark.parametrize("listen", [["0.0.0.0:0"], ["127.0.0.1:0", "0.0.0.0:0"], ["[::]:0"]])
def test_open_mode_on_a_public_address_does_not_start(listen):
    import subprocess
    from harness.gateway import binary
    from harness.process import clean_env
    done = subprocess.run([binary(), "serve", "--broker", "memory", "--open",
                           "--listen", ",".join(listen)],
                          capture_output=True, text=True, timeout=20, env=clean_env(), check=False)
    assert done.returncode not in (0, 99) and done.returncode > 0
    assert "open" in done.stderr and "Sanitizer" not in done.stderr


def test_a_request_without_a_host_is_refused_in_open_mode(gateway):
    answer = http.raw(gateway.address, b"POST /publish/a HTTP/1.1\r\nContent-Length: 1\r\n\r\nx")
    assert answer.status == 400
    answer = http.raw(gateway.address, b"POST /publish/a HTTP/1.0\r\nContent-Length: 1\r\n\r\nx")
    assert answer.status == 403
