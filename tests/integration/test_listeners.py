"""Listeners: several at once, IPv6, unix sockets; one that cannot be had ends the start clearly."""

import grp
import os
import pwd
import socket
import stat
import subprocess

import pytest

from harness import http
from harness.gateway import binary
from harness.process import clean_env
from harness.sse import Stream


def serve(*listen):
    """A start that is expected to fail."""
    done = subprocess.run([binary(), "serve", "--broker", "memory", "--listen", ",".join(listen)],
                          capture_output=True, text=True, timeout=10, env=clean_env(), check=False)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    return done


def said(done):
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("sluice: ")]
    return line


def stream_at(gateway, address, channel):
    stream = Stream(address, "/events?channel=" + channel)
    gateway.streams.append(stream)
    return stream.subscribed()


@pytest.mark.threads
def test_every_listener_serves_streams_and_publishes_of_the_same_channels(start_gateway, tmp_path):
    paths = [str(tmp_path / name) for name in ("one", "two")]
    gateway = start_gateway(listen=["127.0.0.1:0", "[::1]:0", "http://127.0.0.1:0", "127.0.0.2:0",
                                    *(f"unix:{path}" for path in paths)])
    addresses = gateway.addresses + paths
    assert [a[0] for a in gateway.addresses] == ["127.0.0.1", "::1", "127.0.0.1", "127.0.0.2"]
    streams = [stream_at(gateway, address, "all") for address in addresses for _ in range(3)]
    for n, address in enumerate(addresses):
        answer = http.request(address, "POST", "/publish/all", body=str(n))
        assert answer.status == 200 and answer.json() == {"receivers": len(streams)}
    for stream in streams:
        assert stream.data(len(addresses)) == [str(n) for n in range(len(addresses))]


def test_an_ipv6_listener_leaves_the_port_of_ipv4_to_others(start_gateway):
    gateway = start_gateway(listen=["[::1]:0"])
    assert gateway.get("/healthz").status == 200
    with pytest.raises(ConnectionRefusedError):
        http.connect(("127.0.0.1", gateway.ports[0]))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_taken_port_ends_the_start_with_1_and_its_address(host, tmp_path):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    path = tmp_path / "s"
    with socket.create_server((host, 0), family=family) as taken:
        address = http.host_of(taken.getsockname()[:2])
        done = serve("127.0.0.1:0", f"unix:{path}", address)
    assert done.returncode == 1
    assert f'"{address}"' in said(done) and "in use" in said(done)
    assert not path.exists(), "a start that fails leaves no socket behind"


def test_a_port_of_another_gateway_is_not_shared_with_it(start_gateway):
    gateway = start_gateway()
    done = serve(f"127.0.0.1:{gateway.ports[0]}")
    assert done.returncode == 1 and "in use" in said(done)
    assert all(gateway.get("/healthz").status == 200 for _ in range(10))


def test_an_address_that_is_not_of_this_machine_ends_the_start_with_1():
    for address in ("192.0.2.1:0", "[2001:db8::1]:0"):
        done = serve("127.0.0.1:0", address)
        assert done.returncode == 1 and address in said(done)


def test_a_unix_socket_has_the_mode_and_the_owner_that_are_set(start_gateway, tmp_path):
    path = tmp_path / "sluice.sock"
    start_gateway(listen=[f"unix:{path}"], unix={"mode": "0606", "owner": "nobody:nogroup"})
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o606
    assert (status.st_uid, status.st_gid) == (pwd.getpwnam("nobody").pw_uid,
                                              grp.getgrnam("nogroup").gr_gid)


def test_a_unix_socket_is_for_its_user_and_group_unless_set_otherwise(start_gateway, tmp_path):
    path = tmp_path / "sluice.sock"
    start_gateway(listen=[f"unix:{path}"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_a_unix_socket_left_by_a_dead_gateway_is_taken_over(start_gateway, tmp_path):
    path = str(tmp_path / "s")
    first = start_gateway(listen=["127.0.0.1:0", f"unix:{path}"])
    first.child.kill()
    first.child.wait()
    first.stop = lambda: None
    assert os.path.exists(path)
    second = start_gateway(listen=["127.0.0.1:0", f"unix:{path}"])
    assert http.request(path, "GET", "/healthz").status == 200
    stream = stream_at(second, path, "again")
    second.post("/publish/again", "x")
    assert stream.data(1) == ["x"]


def test_a_unix_socket_of_a_running_gateway_is_not_stolen(start_gateway, tmp_path):
    path = str(tmp_path / "s")
    gateway = start_gateway(listen=["127.0.0.1:0", f"unix:{path}"])
    stream = stream_at(gateway, path, "mine")
    done = serve(f"unix:{path}")
    assert done.returncode == 1
    assert path in said(done) and "in use" in said(done)
    assert http.request(path, "POST", "/publish/mine", body=b"x").status == 200
    assert stream.data(1) == ["x"]


@pytest.mark.parametrize("make", [lambda p: p.write_text("precious"), lambda p: p.mkdir()],
                         ids=["a file", "a directory"])
def test_what_is_no_socket_at_the_path_of_one_is_left_alone(tmp_path, make):
    path = tmp_path / "s"
    make(path)
    before = path.stat()
    done = serve(f"unix:{path}")
    assert done.returncode == 1 and str(path) in said(done)
    assert path.stat().st_ino == before.st_ino and stat.S_IFMT(path.stat().st_mode) == \
        stat.S_IFMT(before.st_mode)


def test_a_unix_socket_in_a_directory_that_is_not_there_ends_the_start_with_1(tmp_path):
    done = serve(f"unix:{tmp_path}/nowhere/s")
    assert done.returncode == 1 and "nowhere/s" in said(done)


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]", "::1:80", "127.0.0.1:65536", "nohost:80",
                                     "unix:relative", "unix:/" + "x" * 200, "ftp://127.0.0.1:80"])
def test_a_listener_that_is_no_address_ends_the_start_with_2(address):
    done = serve(address)
    assert done.returncode == 2
    assert "listen" in said(done)
