"""The servers under test, the processes around them, and what is needed to hurt them."""

import contextlib
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from harness.gateway import REPORTS, Gateway
from harness.process import spawn
from harness.redis import Redis

from . import world

HERE = Path(__file__).resolve().parent
SETTINGS = {"drain_seconds": 2, "namespaces": world.NAMESPACES, "replay_bytes": 4 << 20,
            "stream": {"heartbeat_seconds": world.HEARTBEAT_SECONDS, "retry_ms": 200},
            "limits": {"queue_bytes": 65536}}
WATCHED = ("sluice_holes_healed_total", "sluice_replays_ring_total", "sluice_replays_redis_total",
           "sluice_redis_connects_total", "sluice_slow_disconnects_total", "sluice_slow_replays_total",
           "sluice_lane_full_total", "sluice_gaps_total")
READY_SECONDS = 20


class Clock:
    """The wall clock of Redis, which can be stepped; see clock_step.c."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "clock")
        library = os.path.join(directory, "clock_step.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, str(HERE.parent / "clock_step.c")],
                       check=True)
        self.step(0)
        self.prefix = ["env", f"LD_PRELOAD={library}", f"CHAOS_CLOCK={self.path}"]

    def step(self, seconds):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(struct.pack("q", int(seconds * 1000000)))


class Actor:
    """A process of ours that obeys lines and answers in lines."""

    def __init__(self, directory, module, *args):
        self.name = module
        self.log = open(os.path.join(directory, module.split(".")[-1] + ".log"), "ab")
        path = os.pathsep.join([str(HERE.parent), str(HERE.parents[1] / "integration")])
        self.child = spawn([sys.executable, "-m", module, directory, *map(str, args)], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=self.log, text=True,
                           env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"})
        self.lock = threading.Lock()

    def tell(self, line):
        with self.lock:
            self.child.stdin.write(line + "\n")
            self.child.stdin.flush()

    def hear(self, word):
        """The rest of its next line, which must begin with `word`."""
        line = self.child.stdout.readline().strip()
        first, _, rest = line.partition(" ")
        assert first == word, f"{self.name} said {line!r} instead of {word!r}; see {self.log.name}"
        return rest

    def end(self):
        self.child.stdin.close()
        self.child.wait(10)

    def close(self):
        """Ends it whatever it does; at the end of its input it writes what it still has."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self.child.stdin.close()
            self.child.wait(3)
        self.child.kill()
        self.child.wait()


class Stage:
    settings = SETTINGS

    def __init__(self, directory, kind):
        self.directory, self.kind = directory, kind
        self.clock = Clock(directory)
        self.redis = Redis(within=self.clock, port=world.REDIS_PORT, bind=["127.0.0.1", *world.REDIS_HOSTS],
                           appendonly="yes", appendfsync="always",
                           user="mute on >mute ~* +@all resetchannels".split())
        self.redis.cli("FUNCTION", "LOAD", "REPLACE", (HERE.parents[2] / "deploy/sluice.lua").read_bytes())
        self.counters, self.logs = Counter(), []
        self.gateways = [None] * len(world.GATEWAYS)
        for i in range(len(world.GATEWAYS)):
            self.start_gateway(i)
        self.publishers = self.clients = None
        self.over = threading.Event()

    # -- gateways --------------------------------------------------------------------------------

    def start_gateway(self, i, wait=False):
        host, port = world.GATEWAYS[i]
        self.gateways[i] = Gateway(f"redis://{world.REDIS_HOSTS[i]}:{world.REDIS_PORT}/0", kind=self.kind,
                                   wait=wait, listen=[f"{host}:{port}"], **self.settings)
        self.logs.append(self.gateways[i].log_path)

    def read_counters(self, i):
        """Adds what gateway i has counted to the sums: it is about to forget it."""
        assert self.gateways[i].alive(), f"a gateway ended by itself: {self.gateways[i].log()[-3000:]}"
        samples = self.gateways[i].metrics()
        for name, value in samples.items():
            bare = name.split("{")[0]
            if bare in WATCHED:
                self.counters[bare] += int(value)

    def kill_gateway(self, i):
        self.read_counters(i)
        self.end_gateway(i)

    def end_gateway(self, i):
        self.gateways[i].child.kill()
        self.gateways[i].child.wait(10)

    def drain_gateway(self, i):
        self.read_counters(i)
        self.gateways[i].stop()

    def reports(self):
        """What sanitizers and crashes have left in the gateways' logs."""
        logs = ((path, Path(path).read_text(encoding="utf-8", errors="replace")) for path in self.logs)
        return [f"{path}: {word}" for path, text in logs for word in REPORTS if word in text]

    # -- Redis and the network -------------------------------------------------------------------

    def end_redis(self, signum):
        self.redis.child.send_signal(signum)
        self.redis.child.wait(20)
        self.redis.kill()

    def redis_log(self):
        return Path(self.redis.dir, "log").read_text(encoding="utf-8", errors="replace")

    @staticmethod
    def nft(script):
        subprocess.run(["nft", "-f", "-"], input=script.encode(), check=True, timeout=10)

    def cut(self, table, rules):
        """Packets that fit one of the rules vanish until heal(table)."""
        lines = [f"add table inet {table}",
                 f"add chain inet {table} in {{ type filter hook input priority 0; }}"]
        self.nft("\n".join(lines + [f"add rule inet {table} in {rule} counter drop" for rule in rules]) + "\n")

    def heal(self, table):
        """Returns how many packets were swallowed."""
        shown = subprocess.run(["nft", "list", "table", "inet", table], check=True, timeout=10,
                               capture_output=True, text=True).stdout.split()
        self.nft(f"delete table inet {table}\n")
        return sum(int(shown[i + 1]) for i, word in enumerate(shown) if word == "packets")

    # -- the run ---------------------------------------------------------------------------------

    def begin(self, seed, clients, seconds):
        self.publishers = Actor(self.directory, "parts.publishers", seed, self.redis.socket)
        first = self.publishers.hear("first")
        self.clients = Actor(self.directory, "parts.clients", seed, clients, seconds, first)
        time.sleep(1)

    def settle(self):
        """After the last fault: publishers end, clients get the rest. Returns the last id and the counts."""
        self.publishers.tell("finish")
        last, _, counts = self.publishers.hear("finished").partition(" ")
        self.clients.tell(f"settle {last}")
        connections = self.clients.hear("settled")
        self.clients.tell("end")
        self.clients.end()
        for i, gateway in enumerate(self.gateways):
            self.read_counters(i)
            gateway.stop()
        return last, counts, connections

    def close(self):
        for actor in (self.clients, self.publishers):
            if actor:
                actor.close()
        for gateway in self.gateways:
            if gateway and gateway.alive():
                gateway.child.kill()
                gateway.child.wait()
        if self.redis.child.poll() is None:
            self.redis.kill()
        self.over.set()
