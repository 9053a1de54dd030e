"""TLS: everything works over it, it is set up clearly, and its clients hurt only themselves."""

import contextlib
import json
import os
import pty
import select
import shutil
import socket
import ssl
import subprocess
import time
import warnings
from types import SimpleNamespace

import pytest

from harness import http, tls
from harness.gateway import REPORTS, binary
from harness.process import clean_env, until
from harness.sse import Stream
from harness.tls import other, pair  # noqa: F401

MEGABYTE = 1 << 20
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture
def start_secure(start_gateway, pair):
    """A gateway with a listener in clear, for the test's own questions, and `secure` beside it."""
    def start(*args, **settings):
        gateway = start_gateway(*args, **{"tls": pair.settings,
                                          "listen": ["http://127.0.0.1:0", "127.0.0.1:0"], **settings})
        gateway.secure = tls.Address(gateway.addresses[1], tls.client(pair))
        return gateway
    return start


@pytest.fixture
def secure(start_secure):
    return start_secure()


def subscribe(gateway, channel, address=None, **more):
    stream = Stream(address or gateway.secure, "/events?channel=" + channel, **more)
    gateway.streams.append(stream)
    assert stream.status == 200, stream.response
    return stream.subscribed()


def served(gateway, *trusted):
    """The certificate that a new connection is shown."""
    with http.connect(tls.Address(gateway.secure, tls.client(*trusted))) as sock:
        return sock.getpeercert(binary_form=True)


# -- it works -----------------------------------------------------------------------------------------

@pytest.mark.threads
@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS.keys())
def test_a_stream_a_publish_and_the_page_work_over_tls(secure, pair, version):
    address = tls.Address(secure.secure, tls.client(pair, version=version))
    stream = subscribe(secure, "both", address)
    clear = secure.subscribe("both")
    assert stream.sock.version() == "TLSv" + ("1.2" if version == VERSIONS["1.2"] else "1.3")
    assert http.request(address, "POST", "/publish/both", body=b"over tls").status == 200
    assert stream.data(1) == clear.data(1) == ["over tls"]
    page = http.request(address, "GET", "/")
    assert page.status == 200 and b"<html" in page.body
    assert page.body == secure.get("/").body


def test_several_requests_go_over_one_tls_connection(secure):
    with http.Connection(secure.secure) as one:
        for n in range(20):
            answer = one.request("POST", "/publish/kept", body=b"x" * n)
            assert answer.status == 200 and answer.json() == {"receivers": 0}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1],
                         ids=["1.0", "1.1"])
def test_a_client_that_knows_only_an_old_tls_is_refused(secure, pair, version):
    stream = subscribe(secure, "old")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = tls.client(pair, version=version)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionResetError)) as refusal:
        http.connect(tls.Address(secure.secure, context))
    assert "NO_PROTOCOLS_AVAILABLE" not in str(refusal.value), "this client could not even try"
    secure.post("/publish/old", "x")
    assert stream.data(1) == ["x"]


def test_a_listener_with_http_before_it_stays_in_clear_beside_tls(secure):
    assert secure.lines(rf"listening on 127\.0\.0\.1:{secure.ports[0]}$")
    assert secure.lines(rf"listening on 127\.0\.0\.1:{secure.ports[1]} with TLS$")
    assert secure.get("/healthz").status == 200
    assert http.request(secure.secure, "GET", "/healthz").status == 200


@pytest.mark.threads
@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS.keys())
def test_a_message_of_a_megabyte_arrives_whole_over_tls(secure, pair, version):
    stream = subscribe(secure, "mega", tls.Address(secure.secure, tls.client(pair, version=version)))
    payload = "".join(f"{n:08}" for n in range(MEGABYTE // 8))
    for _ in range(2):
        assert http.request(secure.secure, "POST", "/publish/mega", body=payload).status == 200
        assert stream.message(10).data == payload


@pytest.mark.threads
def test_ten_thousand_messages_in_bursts_arrive_in_order_over_tls(start_secure, shared_redis, name):
    gateway = start_secure(shared_redis)
    streams = [subscribe(gateway, name) for _ in range(3)]
    for first in range(0, 10_000, 4000):  # more at once may be too much for a lane, and told as a gap
        numbers = range(first, min(first + 4000, 10_000))
        shared_redis.pipeline([("PUBLISH", name, n) for n in numbers])
        for stream in streams:
            assert stream.data(len(numbers), 15) == [str(n) for n in numbers]
    assert gateway.metric("sluice_slow_disconnects_total") == 0


def test_frames_of_every_size_share_records_and_arrive_in_order_over_tls(start_secure, shared_redis,
                                                                        name):
    gateway = start_secure(shared_redis, limits={"queue_bytes": 16 * MEGABYTE})
    sizes = [1, 16_377, 16_384, 5, 40_000, 16_375, 16_376, 100, 0, 300_000, 3] * 20
    stream = subscribe(gateway, name, receive_buffer=4096)  # so that writes fall short in mid-record
    shared_redis.pipeline([("PUBLISH", name, "x" * size) for size in sizes])
    assert [len(data) for data in stream.data(len(sizes), 20)] == sizes


# -- certificates --------------------------------------------------------------------------------------

def test_a_bad_pair_ends_the_start_with_the_key_and_the_file(tmp_path, pair, other):
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    missing = str(tmp_path / "missing.pem")
    cases = [
        (missing, pair.key, "tls.cert", missing), (pair.cert, missing, "tls.key", missing),
        (garbage, pair.key, "tls.cert", garbage), (pair.cert, garbage, "tls.key", garbage),
        (pair.key, pair.key, "tls.cert", pair.key), (pair.cert, pair.cert, "tls.key", pair.cert),
        (pair.cert, other.key, "tls.key", other.key), (tmp_path, pair.key, "tls.cert", tmp_path),
        (pair.cert, "", "tls.key", ""), ("", pair.key, "tls.cert", ""),
    ]
    for cert, key, setting, path in cases:
        done = subprocess.run([binary(), "serve", "--broker", "memory", "--listen", "127.0.0.1:0",
                               "--tls-cert", str(cert), "--tls-key", str(key)], env=clean_env(),
                              capture_output=True, text=True, timeout=10, check=False)
        assert done.returncode == 2, (cert, key, done)
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("sluice: ")]
        assert setting in line and str(path) in line, line


def test_an_https_listener_without_a_certificate_ends_the_start(tmp_path):
    done = subprocess.run([binary(), "serve", "--broker", "memory", "--listen", "https://127.0.0.1:0"],
                          env=clean_env(), capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 2
    assert "tls" in done.stderr and "https://" in done.stderr


def test_a_key_with_a_passphrase_is_refused_and_not_asked_for(tmp_path, pair):
    """On a terminal OpenSSL would ask, and the gateway would stand still until somebody answered."""
    locked = str(tmp_path / "locked.key")
    subprocess.run(["openssl", "pkey", "-in", pair.key, "-aes256", "-passout", "pass:secret",
                    "-out", locked], check=True)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(binary(), [binary(), "serve", "--broker", "memory", "--listen", "127.0.0.1:0",
                             "--tls-cert", pair.cert, "--tls-key", locked], clean_env())
    said, waits, end = b"", True, time.monotonic() + 5
    try:
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                said += os.read(terminal, 4096)
    except OSError:  # EIO: it has ended
        waits = False
    if waits:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert not waits, f"it still asks: {said!r}"
    assert os.waitstatus_to_exitcode(status) == 2
    assert b"tls.key" in said and locked.encode() in said
    assert not any(report.encode() in said for report in REPORTS)


@pytest.mark.threads
def test_new_connections_get_the_new_certificate_after_a_reload_and_open_streams_go_on(
        secure, pair, other):
    stream = subscribe(secure, "renew")
    assert served(secure, pair) == pair.der()
    assert "nothing" not in secure.reload(tls=other.settings)
    until(lambda: [served(secure, pair, other) for _ in range(6)] == [other.der()] * 6, 5,
          "every worker to show the new certificate")
    fresh = subscribe(secure, "renew", tls.Address(secure.secure, tls.client(other)))
    secure.post("/publish/renew", "to both")
    assert stream.data(1) == fresh.data(1) == ["to both"]


def test_a_certificate_that_changed_under_its_name_is_read_anew(secure, tmp_path, pair, other):
    mine = tls.Pair(tmp_path, "mine")
    secure.reload(tls=mine.settings)
    until(lambda: served(secure, pair, mine) == mine.der(), 5, "the certificate of the file")
    before = SimpleNamespace(cert=shutil.copy(mine.cert, tmp_path / "before.crt"))  # a worker may still show it
    for end, path in (("crt", other.cert), ("key", other.key)):
        with open(path, "rb") as file:
            (tmp_path / ("mine." + end)).write_bytes(file.read())
    secure.reload()
    until(lambda: [served(secure, before, other, pair) for _ in range(6)] == [other.der()] * 6, 5,
          "the certificate that the file has now")


@pytest.mark.parametrize("kinds", [("ec", "rsa"), ("rsa", "ec")], ids=["EC to RSA", "RSA to EC"])
def test_a_certificate_with_another_kind_of_key_replaces_the_old_one_too(
        start_secure, tmp_path, kinds):
    old, new = tls.Pair(tmp_path, "old", kinds[0]), tls.Pair(tmp_path, "new", kinds[1])
    gateway = start_secure(tls=old.settings)
    gateway.reload(tls=new.settings)
    until(lambda: served(gateway, old, new) == new.der(), 5, "the new certificate")
    first = tls.client(old, new, version=VERSIONS["1.2"])
    first.set_ciphers("ECDSA" if kinds[0] == "ec" else "aRSA")  # asks for the old kind alone
    for _ in range(4):
        assert served(gateway, old, new) == new.der()
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            http.connect(tls.Address(gateway.secure, first))


def test_a_bad_pair_at_a_reload_keeps_the_old_one_and_says_why(secure, tmp_path, pair, other):
    stream = subscribe(secure, "keep")
    missing = str(tmp_path / "missing.pem")
    for wrong, word in (({"cert": pair.cert, "key": other.key}, other.key),
                        ({"cert": missing, "key": pair.key}, missing),
                        ({"cert": pair.cert, "key": missing}, missing),
                        ({"cert": pair.key, "key": pair.key}, pair.key)):
        line = secure.reload(tls=wrong, limits={"channels": 1})
        assert "nothing is reloaded" in line and "tls." in line and word in line, line
    assert [served(secure, pair) for _ in range(4)] == [pair.der()] * 4
    assert secure.get("/events?channel=a&channel=b&live=0").error().startswith("live=0"), \
        "the rest of a file with a bad pair must not be taken either"
    secure.post("/publish/keep", "still here")
    assert stream.data(1) == ["still here"]


# -- clients that hurt only themselves ------------------------------------------------------------------

@pytest.mark.threads
def test_a_tls_client_that_stops_reading_is_closed_as_slow_while_others_go_on(
        start_secure, shared_redis, name):
    gateway = start_secure(shared_redis, limits={"queue_bytes": 65536})
    asleep = [subscribe(gateway, name, receive_buffer=4096) for _ in range(3)]
    readers = [subscribe(gateway, name), gateway.subscribe(name)]
    for n in range(120):  # 12 MB: more than the kernel's buffers of a socket
        shared_redis.publish(name, f"{n:06}" + "x" * 100_000)
        for reader in readers:
            assert reader.message(10).data[:6] == f"{n:06}"
    gateway.wait_metric("sluice_slow_disconnects_total", len(asleep))
    gateway.wait_metric("sluice_connections", len(readers))


def test_clear_http_on_the_tls_port_is_closed_and_hurts_nobody(secure):
    stream = subscribe(secure, "clear")
    for data in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\r\n\r\n", b"\x16\x03\x01",
                 b"\x16\x03\x01\xff\xff" + b"\0" * 70_000, bytes(range(256)) * 40):
        with http.connect(secure.addresses[1]) as sock, contextlib.suppress(OSError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            answer = b""
            while (more := sock.recv(4096)):
                answer += more
            assert not answer.startswith(b"HTTP/1.1 200"), answer
    secure.wait_metric("sluice_sockets", 2)  # the stream, and the question itself
    secure.post("/publish/clear", "x")
    assert stream.data(1) == ["x"]


def client_hello(context):
    """The bytes with which a client begins."""
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    return out.read()


@pytest.mark.parametrize("part", [1, 100, None], ids=["one byte", "half a hello", "a whole hello"])
def test_a_handshake_that_never_finishes_is_ended_within_request_seconds(start_secure, part):
    gateway = start_secure(limits={"request_seconds": 1})
    stream = subscribe(gateway, "patient")
    began = time.monotonic()
    with http.connect(gateway.addresses[1], 8) as sock:
        sock.sendall(client_hello(gateway.secure.context)[:part])
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(4096):
                pass
        assert 1 <= time.monotonic() - began < 4
    gateway.wait_metric("sluice_sockets", 2)
    gateway.post("/publish/patient", "x")
    assert stream.data(1) == ["x"]


def test_a_tls_client_that_is_silent_after_its_handshake_is_ended_within_request_seconds(start_secure):
    gateway = start_secure(limits={"request_seconds": 1})
    began = time.monotonic()
    with http.connect(gateway.secure, 8) as sock:
        with contextlib.suppress(ssl.SSLEOFError, ConnectionResetError):
            while sock.recv(4096):
                pass
        assert 1 <= time.monotonic() - began < 4


def test_tls_clients_that_vanish_within_the_handshake_leave_no_trace(secure):
    stream = subscribe(secure, "vanish")
    hello = client_hello(secure.secure.context)
    for cut in range(1, len(hello), 9):
        with http.connect(secure.addresses[1]) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.sendall(hello[:cut])
    secure.wait_metric("sluice_sockets", 2, 10)
    secure.post("/publish/vanish", "x")
    assert stream.data(1) == ["x"]


# -- the end ----------------------------------------------------------------------------------------------

def reads_to_close_notify(sock):
    """Reads to the end; an end without close_notify raises SSLEOFError."""
    received = b""
    while (data := sock.recv(65536)):
        received += data
    return received


def test_an_answer_that_ends_the_connection_ends_with_close_notify(secure):
    request = http.request_bytes(secure.secure, "GET", "/page.css", {"Connection": "close"})
    for _ in range(5):
        with http.connect(secure.secure) as sock:
            sock.sendall(request)
            assert reads_to_close_notify(sock).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.threads
def test_a_stream_that_is_drained_ends_with_retry_and_close_notify(start_secure):
    gateway = start_secure(drain_seconds=1)
    streams = [subscribe(gateway, "bye") for _ in range(10)]
    gateway.child.terminate()
    for stream in streams:
        assert b"retry: " in reads_to_close_notify(stream.sock)
    gateway.stop()


def test_a_stream_that_is_refused_for_now_ends_with_close_notify(start_secure):
    gateway = start_secure(limits={"connections": 1})
    subscribe(gateway, "full")
    with http.connect(gateway.secure) as sock:
        sock.sendall(http.request_bytes(gateway.secure, "GET", "/events?channel=full"))
        said = reads_to_close_notify(sock)
    assert b"event: sluice.busy\n" in said
    assert json.loads(said.split(b"data: ")[1].split(b"\n")[0])["error"]
