"""Pages of other origins."""

import hashlib

import pytest

from harness import http

PAGE = "https://shop.example"
PREFLIGHT = {"Origin": PAGE, "Access-Control-Request-Method": "GET",
             "Access-Control-Request-Headers": "authorization,last-event-id"}


@pytest.fixture(scope="module")
def exact(module_makers):
    from harness.gateway import Gateway
    return module_makers.add(Gateway(open=False, cors={"origins": [PAGE, "https://b.example:8443"]}))


@pytest.fixture(scope="module")
def star(module_makers):
    from harness.gateway import Gateway
    return module_makers.add(Gateway(open=False, cors={"origins": ["*"]}))


def test_an_allowed_origin_is_named_exactly_and_may_send_credentials(exact):
    for origin in (PAGE, "https://b.example:8443"):
        response = exact.stream("/events", {"Origin": origin}).response
        assert response.status == 200
        assert response.header("access-control-allow-origin") == origin
        assert response.header("access-control-allow-credentials") == "true"
        assert "origin" in (response.header("vary") or "").lower()


@pytest.mark.parametrize("origin", [
    "https://evil.example", "http://shop.example", "https://shop.example:444",
    "https://shop.example.evil", "null", "https://SHOP.example/", "",
])
def test_another_origin_gets_no_permission(exact, origin):
    response = exact.stream("/events", {"Origin": origin}).response
    assert response.header("access-control-allow-origin") is None
    assert response.header("access-control-allow-credentials") is None


def test_star_allows_everybody_and_no_credentials(star):
    response = star.stream("/events", {"Origin": "https://any.example"}).response
    assert response.header("access-control-allow-origin") == "*"
    assert response.header("access-control-allow-credentials") is None


def test_a_preflight_allows_the_request_headers_that_mean_something(exact):
    response = exact.request("OPTIONS", "/events", PREFLIGHT)
    assert response.status in (200, 204)
    assert response.header("access-control-allow-origin") == PAGE
    assert response.header("access-control-allow-credentials") == "true"
    allowed = {h.strip().lower() for h in response.header("access-control-allow-headers").split(",")}
    assert {"authorization", "cache-control", "last-event-id", "content-type", "idempotency-key"} == allowed
    methods = response.header("access-control-allow-methods")
    assert "GET" in methods
    assert response.body == b""


def test_a_preflight_of_another_origin_allows_nothing(exact):
    response = exact.request("OPTIONS", "/events", {**PREFLIGHT, "Origin": "https://evil.example"})
    assert response.header("access-control-allow-origin") is None
    assert response.header("access-control-allow-headers") is None


def test_a_preflight_with_star_has_no_credentials(star):
    response = star.request("OPTIONS", "/events", PREFLIGHT)
    assert response.header("access-control-allow-origin") == "*"
    assert response.header("access-control-allow-credentials") is None


def test_errors_carry_the_cors_headers_too(exact):
    """Else the page sees a network error where the answer says what was wrong."""
    response = exact.get("/events?channel=a*b", {"Origin": PAGE})
    assert response.status == 400
    assert response.header("access-control-allow-origin") == PAGE


ERRORS = {
    401: ("POST", "/publish/a", {}, b"x"),
    403: ("GET", "/events?channel=sluice.x", {}, None),
    404: ("GET", "/nothing", {}, None),
    405: ("DELETE", "/events", {}, None),
    413: ("POST", "/publish/a", {"Authorization": "Bearer k", "Content-Length": "2000000"}, b""),
    501: ("GET", "/invalidations?peer=a", {"Authorization": "Bearer k"}, None),
}


@pytest.mark.parametrize("status", ERRORS)
def test_errors_of_every_kind_carry_them(start_gateway, status):
    key = {"name": "k", "sha256": hashlib.sha256(b"k").hexdigest(), "scopes": ["publish:*", "peer"]}
    gateway = start_gateway(open=False, cors={"origins": [PAGE]}, keys=[key])
    method, target, headers, body = ERRORS[status]
    response = gateway.request(method, target, {"Origin": PAGE, **headers}, body)
    assert response.status == status and response.error()
    assert response.header("access-control-allow-origin") == PAGE
    assert response.header("access-control-allow-credentials") == "true"
    assert response.header("vary") == "Origin" and response.header("cache-control") == "no-store"


def test_a_body_that_does_not_come_in_time_is_told_to_the_page(start_gateway):
    gateway = start_gateway(cors={"origins": [PAGE]}, limits={"request_seconds": 1})
    head = http.request_bytes(gateway.address, "POST", "/publish/a", {"Origin": PAGE, "Content-Length": "5"})
    response = http.raw(gateway.address, head)
    assert response.status == 408 and response.error()
    assert response.header("access-control-allow-origin") == PAGE


def test_what_is_refused_for_now_is_told_to_the_page(start_redis, start_gateway):
    redis = start_redis()
    gateway = start_gateway(redis, cors={"origins": [PAGE]}, limits={"connections": 1})
    gateway.subscribe("a")
    busy = gateway.stream("/events", {"Origin": PAGE})
    assert busy.response.header("access-control-allow-origin") == PAGE
    assert busy.rest()[-1].event == "sluice.busy"
    response = gateway.post("/publish/a", "x", {"Origin": PAGE})
    assert response.status == 503 and response.header("retry-after")
    assert response.header("access-control-allow-origin") == PAGE


def test_without_configuration_there_is_no_cors_header(start_gateway):
    response = start_gateway(open=False).stream("/events", {"Origin": PAGE}).response
    assert response.status == 200
    assert not [k for k, _ in response.headers if k.startswith("access-control-")]
