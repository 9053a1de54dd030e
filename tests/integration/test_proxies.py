"""Behind a proxy: who the client is, by what trusted proxies say and nobody else."""

import socket
import struct

import pytest

from harness import http, http2, tls
from harness.process import until
from harness.sse import Event, Stream

# The limit of one connection an address shows for whom the gateway takes a client.
LIMIT = {"limits": {"per_address": 1}}
TRUST = {**LIMIT, "trusted_proxies": ["127.0.0.1", "10.1.0.0/16", "::1", "fd00::/8"]}
PROXIED = {**TRUST, "proxy_protocol": True}


def is_busy(stream):
    """Reads up to what tells: `: subscribed`, or why not."""
    while True:
        item = stream.next()
        if isinstance(item, Event):
            assert item.event == "sluice.busy" and "this address" in item.json()["error"], item
            return True
        if getattr(item, "text", None) == "subscribed":
            return False


def is_part_busy(part):
    """The same of a stream of HTTP/2."""
    part.client.until(lambda: b": subscribed\n" in part.body or b"sluice.busy" in part.body, 10, "its beginning")
    return b"sluice.busy" in part.body


def opened(gateway, headers=(), address=None):
    """A stream by a connection of its own, and whether it was one too many for its client."""
    stream = Stream(address or gateway.address, "/events?channel=c", headers)
    gateway.streams.append(stream)
    return is_busy(stream)


def one_client(gateway, first, second, **more):
    """Whether the two sets of headers are taken for the same client."""
    assert opened(gateway, first, **more) is False
    return opened(gateway, second, **more)


A, B = "192.0.2.1", "192.0.2.2"
SAID = {
    "X-Forwarded-For": lambda who: [("X-Forwarded-For", who)],
    "X-Forwarded-For behind another proxy": lambda who: [("X-Forwarded-For", f"{who}, 10.1.2.3")],
    "X-Forwarded-For behind what a client made up": lambda who: [("X-Forwarded-For", f"203.0.113.9, {who}")],
    "X-Forwarded-For in two lines": lambda who: [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", who)],
    "Forwarded": lambda who: [("Forwarded", f"for={who};proto=https")],
    "Forwarded with a port": lambda who: [("Forwarded", f'for="{who}:4711"')],
    "both, agreeing": lambda who: [("Forwarded", f"for={who}"), ("X-Forwarded-For", who)],
}


@pytest.mark.parametrize("form", SAID)
def test_the_client_is_who_a_trusted_proxy_says(start_gateway, form):
    said = SAID[form]
    gateway = start_gateway(**TRUST)
    assert one_client(gateway, said(A), said(B)) is False
    assert opened(gateway, said(A)) is True


@pytest.mark.parametrize("form", SAID)
def test_nobody_else_is_believed(start_gateway, form):
    gateway = start_gateway(**{**TRUST, "trusted_proxies": ["10.1.0.0/16"]})
    assert one_client(gateway, SAID[form](A), SAID[form](B)) is True


def test_what_a_client_makes_up_does_not_make_it_another(start_gateway):
    gateway = start_gateway(**TRUST)
    assert one_client(gateway, {"X-Forwarded-For": f"{B}, {A}"},
                      {"X-Forwarded-For": f"203.0.113.9, {A}"}) is True


def test_headers_that_disagree_are_all_of_one_client(start_gateway):
    gateway = start_gateway(**TRUST)
    pairs = [[("Forwarded", f"for={a}"), ("X-Forwarded-For", b)] for a, b in ((A, B), ("203.0.113.1", A))]
    assert one_client(gateway, *pairs) is True
    assert opened(gateway, SAID["Forwarded"](A)) is False


def test_ipv6_clients_are_told_apart_in_both_headers(start_gateway):
    gateway = start_gateway(**TRUST, listen=["[::1]:0"])
    assert one_client(gateway, {"X-Forwarded-For": "2001:db8::1"}, {"X-Forwarded-For": "2001:db8:0:1::1"}) is False
    assert opened(gateway, {"Forwarded": 'for="[2001:db8:0::1]:99"'}) is True


def test_the_addresses_of_one_ipv6_network_of_64_bits_are_one_client(start_gateway):
    gateway = start_gateway(**TRUST)
    assert one_client(gateway, SAID["X-Forwarded-For"]("2001:db8::1"), SAID["X-Forwarded-For"]("2001:db8::2:1")) is True
    assert one_client(gateway, SAID["X-Forwarded-For"]("64:ff9b::1"), SAID["X-Forwarded-For"]("64:ff9b::2")) is False


def test_a_client_has_one_place_over_http_2_too(start_gateway):
    gateway = start_gateway(**TRUST)
    with http2.Client(gateway.address) as client:
        assert [is_part_busy(client.request("GET", "/events?channel=c", {"x-forwarded-for": who}))
                for who in (A, B, A)] == [False, False, True]


def test_a_client_that_leaves_gives_its_place_back(start_gateway):
    gateway = start_gateway(**TRUST)
    assert one_client(gateway, SAID["Forwarded"](A), SAID["Forwarded"](A)) is True
    gateway.close_streams()

    def given_back():
        busy = opened(gateway, SAID["Forwarded"](A))
        gateway.close_streams()  # one that was refused has a place, too, for as long as it is open
        return not busy
    until(given_back, 5, "the place to be given back", step=0.2)


def test_a_reload_takes_new_trusted_proxies(start_gateway):
    gateway = start_gateway(**LIMIT)
    assert one_client(gateway, SAID["Forwarded"](A), SAID["Forwarded"](B)) is True
    gateway.close_streams()
    gateway.wait_metric("sluice_connections", 0)
    assert gateway.reload(trusted_proxies=["127.0.0.1"]).endswith("reloaded")

    def told_apart():
        apart = not any(opened(gateway, SAID["Forwarded"](f"192.0.2.{n}")) for n in range(10, 18))
        gateway.close_streams()
        return apart
    until(told_apart, 5, "every worker to trust the proxy", step=0.2)


# -- the PROXY protocol -------------------------------------------------------------------------------


class Proxied(tuple):
    """(host, port) that is talked to behind a PROXY header, then over TLS where a context is given."""

    def __new__(cls, address, header, secure=None):
        self = super().__new__(cls, address)
        self.header, self.secure = header, secure
        return self

    def wrap(self, sock):
        sock.sendall(self.header)
        return self.secure.wrap(sock) if self.secure else sock


def version_1(who):
    family, to = ("TCP6", "2001:db8::ff") if ":" in who else ("TCP4", "192.0.2.254")
    return f"PROXY {family} {who} {to} 4711 80\r\n".encode()


def version_2(who, command=1, extra=b""):
    family = socket.AF_INET6 if ":" in who else socket.AF_INET
    to = "2001:db8::ff" if ":" in who else "192.0.2.254"
    body = socket.inet_pton(family, who) + socket.inet_pton(family, to) + struct.pack("!HH", 4711, 80) + extra
    kind = 0x21 if ":" in who else 0x11
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, kind]) + struct.pack("!H", len(body)) + body


VERSIONS = {"1": version_1, "2": version_2,
            "2 with TLVs": lambda who: version_2(who, extra=b"\x04\0\x03abc" + b"\x05\0\x01x")}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return tls.Pair(tmp_path_factory.mktemp("pair"), "one")


@pytest.fixture(params=["clear", "tls", "http/2 over tls"])
def reach(request, start_gateway, pair):
    """reach(header): the address of a gateway as it is reached behind that header."""
    secure = request.param != "clear"
    gateway = start_gateway(**PROXIED, **({"tls": pair.settings} if secure else {}))
    context = tls.client(pair) if secure else None

    def address(header):
        return Proxied(gateway.address, header, tls.Address(gateway.address, context) if secure else None)
    address.gateway = gateway
    address.over_h2 = request.param == "http/2 over tls"
    if address.over_h2:
        context.set_alpn_protocols(["h2"])
    return address


def refused_one_too_many(reach, header):
    if not reach.over_h2:
        return opened(reach.gateway, address=reach(header))
    client = http2.Client(reach(header))
    reach.gateway.streams.append(client)
    return is_part_busy(client.request("GET", "/events?channel=c"))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_client_is_who_the_proxy_header_says(reach, version):
    header = VERSIONS[version]
    assert [refused_one_too_many(reach, header(who)) for who in (A, B, A, "2001:db8::1", "2001:db8:0:1::2",
                                                               "2001:db8::1")] == [
        False, False, True, False, False, True]


def test_a_header_in_http_means_nothing_where_the_proxy_protocol_speaks(start_gateway):
    gateway = start_gateway(**PROXIED)
    address = Proxied(gateway.address, version_2("10.1.2.3"))
    assert one_client(gateway, SAID["Forwarded"](A), SAID["Forwarded"](B), address=address) is True


def test_a_proxys_own_health_check_is_answered(start_gateway):
    gateway = start_gateway(**PROXIED)
    for header in (b"PROXY UNKNOWN\r\n", version_2(A, command=0)):
        assert http.request(Proxied(gateway.address, header), "GET", "/healthz").status == 200


def closes(gateway, data):
    with http.connect(gateway.address) as sock:
        sock.sendall(data)
        try:
            return sock.recv(1) == b""
        except ConnectionResetError:
            return True  # closed with bytes unread


REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def test_who_is_no_trusted_proxy_is_closed_whatever_it_says(start_gateway):
    gateway = start_gateway(**{**PROXIED, "trusted_proxies": ["10.1.0.0/16"]})
    for header in (b"", version_1(A), version_2(A)):
        assert closes(gateway, header + REQUEST)


@pytest.mark.parametrize("data", [REQUEST, b"PROXY TCP4 1.2.3.4\r\n" + REQUEST, b"\x16\x03\x01\x02\0\x01",
                                  version_2(A)[:12] + b"\x31" + version_2(A)[13:] + REQUEST],
                         ids=["none", "too short", "TLS before it", "a version that does not exist"])
def test_a_connection_without_a_good_header_is_closed(start_gateway, data):
    gateway = start_gateway(**PROXIED)
    assert closes(gateway, data)
    assert http.request(Proxied(gateway.address, version_1(A)), "GET", "/healthz").status == 200


def test_a_unix_socket_beside_it_needs_no_header(start_gateway, tmp_path):
    path = str(tmp_path / "s")
    gateway = start_gateway(**PROXIED, listen=["127.0.0.1:0", f"unix:{path}"])
    assert http.request(path, "GET", "/healthz").status == 200
    assert closes(gateway, REQUEST)
