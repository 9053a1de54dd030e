"""The gateway under test: the real binary, its log, and short ways to talk to it."""

import json
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from . import http
from .process import clean_env, listens_at, spawn, until
from .sse import Stream

ROOT = Path(__file__).resolve().parents[3]
REPORTS = ("ERROR: AddressSanitizer", "LeakSanitizer", "runtime error:", "WARNING: ThreadSanitizer")


def binary(kind="asan"):
    """SLUICE_BIN or build/asan/sluice; the release build is asked for by name."""
    if kind == "release":
        return os.environ.get("SLUICE_RELEASE_BIN", str(ROOT / "build/release/sluice"))
    return os.environ.get("SLUICE_BIN", str(ROOT / "build/asan/sluice"))


def merged(base, extra):
    out = dict(base)
    for key, value in extra.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if both else value
    return out


class Gateway:
    """
    `settings` is the configuration file, laid over: one loopback listener, two workers, open. A Redis
    or its URL may be given as `redis`; none means the memory broker. `within` has the `prefix` of its
    command line (NetNs). stop() is part of every test: it must end with 0 and without a sanitizer's
    report.
    """

    def __init__(self, redis=None, kind="asan", within=None, env=None, args=(), wait=True, **settings):
        self.dir = tempfile.mkdtemp(prefix="sluice-gateway-")
        base = {"listen": ["127.0.0.1:0"], "open": True, "workers": 2, "drain_seconds": 0}
        base.update({"redis": getattr(redis, "url", redis)} if redis else {"broker": "memory"})
        self.config = merged(base, settings)
        self.log_path = os.path.join(self.dir, "log")
        self.config_path = os.path.join(self.dir, "sluice.json")
        self.write_config(json.dumps(self.config))
        self.argv = [binary(kind), "serve", "--config", self.config_path, *args]
        with open(self.log_path, "wb") as log:
            self.child = spawn((within.prefix if within else []) + self.argv, stderr=log, stdout=log,
                               cwd=self.dir, env=clean_env(**(env or {})))
        self.streams = []
        self.ports, self.addresses = [], []  # of the TCP listeners, as the configuration has them
        try:
            self._wait_listening()
            if wait and redis:
                self.wait_log("redis ready", 10)
        except BaseException:
            self.child.kill()
            self.child.wait()
            raise

    def _wait_listening(self):
        tcp = sum(not a.startswith("unix:") for a in self.config["listen"])
        unix = [a.removeprefix("unix:") for a in self.config["listen"] if a.startswith("unix:")]

        def listening():
            assert self.child.poll() is None, f"ended with {self.child.returncode}:\n{self.log()}"
            found = re.findall(r"listening on \[?(127\.0\.0\.\d+|::1)\]?:(\d+)", self.log())
            self.addresses = [(host, int(port)) for host, port in found]
            self.ports = [port for _, port in self.addresses]
            return len(self.ports) == tcp and all(listens_at(self.child.pid, p) for p in unix)

        until(listening, 20, "the gateway to listen")
        self.address = self.addresses[0] if tcp else unix[0]

    # -- its log ---------------------------------------------------------------------------------

    def log(self):
        return Path(self.log_path).read_text(encoding="utf-8", errors="replace")

    def lines(self, pattern):
        return [line for line in self.log().splitlines() if re.search(pattern, line)]

    def wait_log(self, pattern, seconds=5.0, times=1):
        """Waits until `times` lines match, and returns them."""
        def enough():
            found = self.lines(pattern)
            return found if len(found) >= times else None
        return until(enough, seconds, lambda: f"{times} x {pattern!r} in the log:\n{self.log()[-2000:]}")

    # -- reload ----------------------------------------------------------------------------------

    def write_config(self, text):
        Path(self.config_path).write_text(text, encoding="utf-8")

    def reload(self, text=None, seconds=5.0, **settings):
        """
        SIGHUP with `settings` laid over the file, or with `text` as the file. Returns what the log
        says of it; the workers take the settings a moment later.
        """
        said = r"reloaded"
        before = len(self.lines(said))
        if text is None:
            self.config = merged(self.config, settings)
            text = json.dumps(self.config)
        self.write_config(text)
        self.child.send_signal(signal.SIGHUP)
        return self.wait_log(said, seconds, before + 1)[-1]

    # -- requests --------------------------------------------------------------------------------

    @property
    def url(self):
        return f"http://127.0.0.1:{self.ports[0]}"

    def request(self, method, target, headers=(), body=None, timeout=10.0):
        return http.request(self.address, method, target, headers, body, timeout)

    def get(self, target, headers=(), **more):
        return self.request("GET", target, headers, **more)

    def post(self, target, body=b"", headers=(), **more):
        return self.request("POST", target, headers, body, **more)

    def stream(self, target="/events", headers=(), **more):
        """A stream as it comes; closed with the gateway."""
        self.streams.append(Stream(self.address, target, headers, **more))
        return self.streams[-1]

    def subscribe(self, *channels, pattern=(), headers=(), **query):
        """A stream of these channels (and patterns), once it says `: subscribed`."""
        patterns = [pattern] if isinstance(pattern, str) else list(pattern)
        pairs = [("channel", c) for c in channels] + [("pattern", p) for p in patterns]
        target = "/events?" + urlencode(pairs + list(query.items()))
        stream = self.stream(target, headers)
        assert stream.status == 200, stream.response
        return stream.subscribed()

    # -- what it counts --------------------------------------------------------------------------

    def metrics(self, headers=()):
        """Samples as {"name{labels}": value}."""
        text = self.get("/metrics", headers).body.decode()
        pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
        return {name: float(value) for name, value in pairs}

    def metric(self, name, headers=()):
        """The sum over all label sets of one metric."""
        return sum(v for k, v in self.metrics(headers).items() if k.split("{")[0] == name)

    def wait_metric(self, name, value, seconds=5.0):
        until(lambda: self.metric(name) == value, seconds, f"{name} to be {value}")

    # -- the end ---------------------------------------------------------------------------------

    def alive(self):
        return self.child.poll() is None

    def close_streams(self):
        for stream in self.streams:
            stream.close()
        self.streams = []

    def stop(self, signum=signal.SIGTERM, seconds=20):
        """Ends it and checks how it ended; twice is allowed."""
        self.close_streams()
        if self.child.poll() is None:
            self.child.send_signal(signum)
        try:
            code = self.child.wait(seconds)
        except Exception:
            self.child.kill()
            self.child.wait()
            raise
        log = self.log()
        for report in REPORTS:
            assert report not in log, log[log.find(report) - 200:][:6000]
        assert code == 0, f"the gateway ended with {code}:\n{log[-3000:]}"

    def clean(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        self.close_streams()
        shutil.rmtree(self.dir, ignore_errors=True)
