"""A private redis-server: its own port, its own directory, nothing written to disk."""

import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile

from .process import spawn, until
from .resp import RedisError, Resp


def _ports():
    """
    Ports that the kernel gives to nobody by itself: one of those that it draws from could go to a connection
    of another test before a server has taken it, or while a Redis that was killed is away.
    """
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as given:
        first, last = (int(word) for word in given.read().split())
    ports = list(range(max(2048, first - 20000), first)) or list(range(last + 1, 65536))
    random.shuffle(ports)  # any is as good, and two test runs at a time seldom try the same
    return itertools.cycle(ports)


_candidates = _ports()
_taken = []  # sockets, as long as this process lives


def _take(port):
    """
    Whether the port is ours and free. An abstract unix socket of its name says that it is ours, as other
    processes of the tests take ports too: it lives in the network namespace, as ports do, and ends with us.
    """
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0sluice-test-port-{port}")
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        return False
    _taken.append(claim)
    return True


def free_port():
    """A port of the loopback that is nobody else's until this process ends."""
    return next(port for port in itertools.islice(_candidates, 20000) if _take(port))


def without_functions(directory):
    """A file to include, by which Redis knows as little of functions as one before 7.0."""
    path = os.path.join(directory, "without-functions.conf")
    with open(path, "w", encoding="ascii") as file:
        file.writelines(f'rename-command {name} ""\n' for name in ("FUNCTION", "FCALL", "FCALL_RO"))
    return path


class Redis:
    """`options` are redis-server settings: Redis(maxclients=5, requirepass="x"). `within`: a NetNs."""

    def __init__(self, within=None, port=None, **options):
        self.dir = tempfile.mkdtemp(prefix="sluice-redis-")
        self.port = port or free_port()
        self.socket = os.path.join(self.dir, "redis.sock")
        self.options = options
        self.prefix = within.prefix if within else []
        self.auth = None
        self.client = None
        self.child = None
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        argv = self.prefix + ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                              "--unixsocket", self.socket, "--dir", self.dir,
                              "--save", "", "--appendonly", "no"]
        for key, value in self.options.items():
            words = value if isinstance(value, (list, tuple)) else [value]
            argv += ["--" + key.replace("_", "-")] + [str(w) for w in words]
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.child = spawn(argv, stdout=self.log, stderr=subprocess.STDOUT)
        if "requirepass" in self.options:
            self.auth = ("AUTH", self.options["requirepass"])
        until(self._answers, 10, f"redis-server on port {self.port}")
        return self

    def _answers(self):
        assert self.child.poll() is None, open(self.log.name, encoding="utf-8").read()
        try:
            return self.cli("PING") == "PONG"
        except (OSError, RedisError):
            self._hang_up()
            return False

    def _hang_up(self):
        if self.client:
            self.client.close()
        self.client = None

    def cli(self, *args):
        """One command by the unix socket, so that it passes where TCP is cut."""
        return self.pipeline([args])[0]

    def pipeline(self, commands):
        if not self.client:
            self.client = Resp(self.socket, 20)
            if self.auth:
                self.client.call(*self.auth)
        return self.client.pipeline(commands)

    def publish(self, channel, payload):
        return self.cli("PUBLISH", channel, payload)

    def numsub(self, channel):
        """How many connections subscribe to the channel."""
        return self.cli("PUBSUB", "NUMSUB", channel)[1]

    def numpat(self):
        """How many pattern subscriptions there are, counted per connection."""
        clients = self.cli("CLIENT", "LIST").decode()
        return sum(int(word[5:]) for word in clients.split() if word.startswith("psub="))

    def kill(self):
        self._hang_up()
        self._end(signal.SIGKILL)

    def shut_down(self):
        """As an operator does: it writes what it has to, and ends."""
        self._hang_up()
        self._end(signal.SIGTERM)

    def stop(self):
        """Freezes it: the kernel still accepts, nobody answers."""
        self.child.send_signal(signal.SIGSTOP)

    def cont(self):
        self.child.send_signal(signal.SIGCONT)

    def restart(self):
        self.kill()
        return self.start()

    def _end(self, signum):
        if self.child.poll() is None:
            self.child.send_signal(signum)
            self.child.wait(10)
        self.log.close()

    def close(self):
        self._hang_up()
        self._end(signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)
