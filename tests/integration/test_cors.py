"""Pages of other origins."""

import pytest

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


def test_a_preflight_allows_the_three_request_headers(exact):
    response = exact.request("OPTIONS", "/events", PREFLIGHT)
    assert response.status in (200, 204)
    assert response.header("access-control-allow-origin") == PAGE
    assert response.header("access-control-allow-credentials") == "true"
    allowed = {h.strip().lower() for h in response.header("access-control-allow-headers").split(",")}
    assert {"authorization", "cache-control", "last-event-id"} <= allowed
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


def test_without_configuration_there_is_no_cors_header(start_gateway):
    response = start_gateway(open=False).stream("/events", {"Origin": PAGE}).response
    assert response.status == 200
    assert not [k for k, _ in response.headers if k.startswith("access-control-")]
