"""The process: how it starts, refuses and ends."""

import json
import signal
import subprocess
import time

import pytest

from harness import http
from harness.gateway import binary
from harness.process import clean_env
from harness.sse import Closed


def run(*args, env=None, stdin=None, timeout=20):
    done = subprocess.run([binary(), *map(str, args)], capture_output=True, text=True,
                          timeout=timeout, env=clean_env(**(env or {})), input=stdin, check=False)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    return done


@pytest.mark.threads
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_streams_open(redis, start_gateway, signum):
    gateway = start_gateway(redis)
    streams = [gateway.subscribe("end", pattern="e*") for _ in range(30)]
    gateway.streams = []  # stay open beyond the end
    began = time.monotonic()
    gateway.stop(signum)
    assert time.monotonic() - began < 12
    for stream in streams:
        stream.rest()
        stream.close()


@pytest.mark.threads
def test_it_ends_cleanly_while_redis_is_away_and_publishes_wait(redis, start_gateway):
    gateway = start_gateway(redis)
    gateway.subscribe("end")
    redis.stop()
    with http.connect(gateway.address) as sock:
        sock.sendall(http.request_bytes(gateway.address, "POST", "/publish/end", body=b"x"))
        time.sleep(0.2)
        gateway.stop()
    redis.cont()


@pytest.mark.threads
def test_it_ends_cleanly_under_load(redis, start_gateway):
    gateway = start_gateway(redis)
    streams = [gateway.subscribe("load") for _ in range(20)]
    gateway.streams = []
    redis.pipeline([("PUBLISH", "load", "x" * 1000)] * 2000)
    gateway.stop()
    for stream in streams:
        stream.close()


def test_sigpipe_does_not_end_it(start_gateway):
    gateway = start_gateway()
    gateway.child.send_signal(signal.SIGPIPE)
    stream = gateway.subscribe("pipe")
    gateway.post("/publish/pipe", "x")
    assert stream.data(1) == ["x"]


BAD_SETTINGS = [
    ({"colour": "red"}, "colour"),
    ({"workers": "two"}, "workers"),
    ({"workers": 10_000}, "workers"),
    ({"limits": {"queue_bytes": -1}}, "limits.queue_bytes"),
    ({"stream": {"heartbeat": 5}}, "stream.heartbeat"),
    ({"namespaces": [{"match": "a.*"}, {"match": "*", "payload": "xml"}]}, "namespaces[1].payload"),
    ({"keys": [{"name": "a", "sha256": "zz", "scopes": []}]}, "keys[0].sha256"),
    ({"listen": []}, "listen"),
    ({"listen": ["nonsense"]}, "listen"),
    ({"log": {"level": "loud"}}, "log.level"),
    ({"channel_prefix": "a*b:"}, "channel_prefix"),
]


@pytest.mark.parametrize("settings, path", BAD_SETTINGS, ids=[p for _, p in BAD_SETTINGS])
def test_a_bad_setting_ends_the_start_with_its_path(tmp_path, settings, path):
    file = tmp_path / "c.json"
    file.write_text(json.dumps(settings), encoding="utf-8")
    for command in ("serve", "check"):
        done = run(command, "--config", file)
        assert 0 < done.returncode < 99, command
        assert path in done.stderr


def test_a_file_that_is_not_json_ends_the_start_with_its_place(tmp_path):
    file = tmp_path / "c.json"
    file.write_text('{"open": tru }', encoding="utf-8")
    done = run("serve", "--config", file)
    assert 0 < done.returncode < 99
    assert "c.json" in done.stderr


def test_check_prints_what_is_in_force_and_where_each_value_came_from(tmp_path):
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"workers": 3, "redis": "redis://:hidden-w0rd@127.0.0.1:6379"}),
                    encoding="utf-8")
    done = run("check", "--config", file, "--limits-channels", "7",
               env={"SLUICE_STREAM_RETRY_MS": "1234"})
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0].rstrip(":"): line for line in done.stdout.splitlines() if line.split()}
    assert "3" in lines["workers"] and "c.json" in lines["workers"]
    assert "7" in lines["limits.channels"] and "--limits-channels" in lines["limits.channels"]
    assert "1234" in lines["stream.retry_ms"] and "SLUICE_STREAM_RETRY_MS" in lines["stream.retry_ms"]
    assert "default" in lines["limits.name_bytes"]
    assert "hidden-w0rd" not in done.stdout + done.stderr


def test_help_and_version_are_on_standard_output():
    done = run("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("serve", "publish", "tail", "check"))
    done = run("--version")
    assert done.returncode == 0 and done.stdout.startswith("sluice ")
    done = run("serve", "--help")
    assert done.returncode == 0
    for flag in ("--listen", "--redis", "--limits-queue-bytes", "--stream-heartbeat-seconds"):
        assert flag in done.stdout


@pytest.mark.parametrize("args", [["frobnicate"], ["serve", "--no-such-flag"], [], ["publish"]])
def test_a_wrong_command_line_is_an_error_on_standard_error(args):
    done = run(*args)
    assert 0 < done.returncode < 99
    assert done.stderr and not done.stdout


def test_publish_and_tail_talk_to_a_gateway(gateway):
    from harness.process import spawn, until
    tail = spawn([binary(), "tail", "cli.a", "cli.b", "--url", gateway.url], env=clean_env(),
                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: gateway.metric("sluice_connections") >= 1, 10, "tail's stream")
        until(lambda: "cli.b" in gateway.get("/api/channels?prefix=cli").body.decode(), 5, "cli.b")
        done = run("publish", "cli.a", "--data", "from the command line", "--url", gateway.url)
        assert done.returncode == 0, done.stderr
        assert "from the command line" in tail.stdout.readline()
        done = run("publish", "cli.b", "--data", "-", "--url", gateway.url, stdin="from stdin")
        assert done.returncode == 0, done.stderr
        assert "from stdin" in tail.stdout.readline()
    finally:
        tail.terminate()
        code = tail.wait(10)
        errors = tail.stderr.read()
        tail.stdout.close()
        tail.stderr.close()
    assert code in (0, 143, -signal.SIGTERM), (code, errors)
    assert "Sanitizer" not in errors


def test_publish_says_why_it_failed(gateway):
    done = run("publish", "bad*name", "--data", "x", "--url", gateway.url)
    assert 0 < done.returncode < 99 and "channel" in done.stderr
    done = run("publish", "a", "--data", "x", "--url", "http://127.0.0.1:1")
    assert 0 < done.returncode < 99 and done.stderr


def test_tail_reconnects_when_the_gateway_comes_back(start_gateway):
    from harness.process import spawn, until
    first = start_gateway()
    port = first.ports[0]
    tail = spawn([binary(), "tail", "back", "--url", first.url], env=clean_env(),
                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        until(lambda: first.metric("sluice_connections") == 1, 10, "tail's stream")
        first.stop()
        second = start_gateway(listen=[f"127.0.0.1:{port}"], stream={"retry_ms": 200})
        until(lambda: second.metric("sluice_connections") == 1, 15, "tail to reconnect")
        second.post("/publish/back", "again")
        assert "again" in tail.stdout.readline()
    finally:
        tail.terminate()
        tail.wait(10)
        tail.stdout.close()


def test_a_stream_ends_when_the_gateway_is_killed(start_gateway):
    gateway = start_gateway()
    stream = gateway.subscribe("killed")
    gateway.child.kill()
    with pytest.raises(Closed):
        stream.message()
    gateway.child.wait()
    gateway.stop = lambda: None
