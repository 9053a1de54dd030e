"""deploy/quickstart: one command from a clone to a running gateway, and nothing left behind."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from harness import http
from harness.process import clean_env, spawn, until
from harness.redis import free_port
from harness.sse import Stream

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = str(ROOT / "deploy/quickstart")

pytestmark = [pytest.mark.release, pytest.mark.deadline(240)]


class Quickstart:
    """The script, with its temporary files and its output in a directory of the test."""

    def __init__(self, tmp_path, *args, **env):
        self.tmp = tmp_path / "tmp"
        self.tmp.mkdir()
        self.out = tmp_path / "out"
        env = clean_env(TMPDIR=self.tmp, QUICKSTART_MARK=str(self.tmp), **env)
        self.mark = f"QUICKSTART_MARK={self.tmp}".encode()
        with open(self.out, "wb") as out:
            self.child = spawn([SCRIPT, *map(str, args)], stdout=out, stderr=out, env=env)

    def text(self):
        return self.out.read_text(encoding="utf-8", errors="replace")

    def ready(self):
        def printed():
            assert self.child.poll() is None, self.text()
            return "Ctrl-C ends it all" in self.text()
        until(printed, 200, "what to try", step=0.1)
        return self

    def line(self, word):
        return re.search(rf"^  {word} +(.*)$", self.text(), re.M).group(1)

    def processes(self):
        """Every process that inherited this quickstart's environment."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and self.mark in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                pass  # gone meanwhile, or not ours
        return found

    def end(self, signum, code=0):
        self.child.send_signal(signum)
        assert self.child.wait(30) == code, self.text()
        until(lambda: not self.processes(), 5, "no process to be left")
        assert list(self.tmp.iterdir()) == []

    def close(self):
        if self.child.poll() is None:
            self.child.terminate()
            self.child.wait(30)


@pytest.fixture
def quickstart(makers, tmp_path):
    return lambda *args, **env: makers.add(Quickstart(tmp_path, *args, **env))


def test_it_starts_everything_shows_a_live_sample_and_leaves_nothing_behind(quickstart):
    port = free_port()
    run = quickstart("--demo", "--port", port).ready()
    address = ("127.0.0.1", port)
    assert f"http://127.0.0.1:{port}/" in run.line("page")
    assert http.request(address, "GET", "/").status == 200
    with Stream(address, "/events?channel=demo") as stream:
        stream.subscribed()
        first, second = stream.message().json(), stream.message().json()
        assert second["order"] == first["order"] + 1
        assert stream.is_open() and len(stream.waiting) <= 2, "the sample's rate is bounded"
    assert len(run.processes()) >= 3
    run.end(signal.SIGINT)


def test_the_lines_it_prints_work_as_they_stand(quickstart):
    run = quickstart(PORT=free_port()).ready()
    curl = spawn(["sh", "-c", "exec " + run.line("listen") + " -s --max-time 20"],
                 stdout=subprocess.PIPE)
    try:
        until(lambda: b"subscribed" in curl.stdout.readline(), 10, "curl to be subscribed")
        done = subprocess.run(["sh", "-c", run.line("publish")], capture_output=True, timeout=10,
                              check=True)
        assert done.stdout.strip() == b"1"
        until(lambda: b"hello from redis" in curl.stdout.readline(), 10, "the message in curl")
    finally:
        curl.kill()
        curl.wait()
        curl.stdout.close()
    run.end(signal.SIGTERM)


def test_a_given_redis_is_used_and_left_alone(quickstart, start_redis):
    redis = start_redis(requirepass="hush-hush")
    run = quickstart("--port", free_port(),
                     REDIS_URL=f"redis://:hush-hush@127.0.0.1:{redis.port}").ready()
    assert not any("redis-server" in p for p in run.processes())
    assert "hush-hush" not in run.text()
    run.end(signal.SIGTERM)
    assert redis.cli("PING") == "PONG"


def test_a_taken_port_is_said_with_a_way_out(quickstart):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = quickstart("--port", port)
        assert run.child.wait(60) == 1
    assert f"port {port}" in run.text() and "--port" in run.text()
    assert run.processes() == []


@pytest.mark.parametrize("args", [["--colour"], ["--port"], ["--port", "0"], ["--port", "99999"]])
def test_a_wrong_word_is_a_usage_error(quickstart, args):
    run = quickstart(*args)
    assert run.child.wait(20) == 2
    assert run.text()


def test_even_a_killed_quickstart_leaves_no_server_behind(quickstart):
    run = quickstart("--port", free_port()).ready()
    os.kill(run.child.pid, signal.SIGKILL)
    run.child.wait()
    until(lambda: not run.processes(), 15, "the servers to end with their parent")


def test_it_ends_with_an_error_when_the_gateway_ends(quickstart):
    port = free_port()
    run = quickstart("--port", port).ready()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                mine = run.mark in (entry / "environ").read_bytes()
                if mine and b"release/sluice" in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), signal.SIGTERM)
            except OSError:
                pass
    assert run.child.wait(20) == 1
    until(lambda: not run.processes(), 5, "no process to be left")
