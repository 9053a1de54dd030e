"""
Where clients attack: `scene` is a gateway with a bystander, and an aftermath in which memory and
descriptors are back where they were, the process sleeps, and the bystander missed nothing. A file that
imports `scene` imports `target` too.
"""

import time

import pytest

from . import http
from .gateway import Gateway
from .process import cpu_seconds, descriptors, memory, until

MEGABYTE = 1 << 20
REQUEST_SECONDS = 2
# The sanitizer's build shows errors, the release what memory it takes: each attack meets both. A
# short quarantine, since freed memory that the sanitizer keeps would look like a leak.
BUILDS = {
    "asan": {"env": {"ASAN_OPTIONS": "halt_on_error=1:exitcode=99:detect_leaks=1:quarantine_size_mb=1:"
                                     "thread_local_quarantine_size_kb=64"}},
    "release": {},
}
TOLERANCE = {"asan": 32 * MEGABYTE, "release": 8 * MEGABYTE}


@pytest.fixture(scope="module", params=["asan", pytest.param("release", marks=pytest.mark.release)])
def target(request, shared_redis, module_makers):
    """The gateway that all attacks of one build meet, one after the other."""
    gateway = module_makers.add(Gateway(
        shared_redis, kind=request.param, redis_linger_ms=100, **BUILDS[request.param],
        limits={"request_seconds": REQUEST_SECONDS, "body_bytes": 32768, "queue_bytes": 65536}))
    gateway.build = request.param
    crowd = [gateway.subscribe("warm") for _ in range(50)]  # the first of all, not the attack's cost
    gateway.post("/publish/warm", "x" * 30_000)
    del crowd
    gateway.close_streams()
    gateway.wait_metric("sluice_sockets", 1)
    return gateway


class Scene:
    """An attack on `gateway`, beside a bystander on the channel `name`."""

    def __init__(self, gateway, redis, name):
        self.gateway, self.redis, self.name, self.told = gateway, redis, name, 0
        self.pid, self.address = gateway.child.pid, gateway.address
        self.bystander = gateway.subscribe(name)
        self.opened, self.memory = descriptors(self.pid), memory(self.pid)
        self.socks = []

    def tick(self):
        """The bystander gets a message now, while all this goes on."""
        self.redis.publish(self.name, self.told)
        assert self.bystander.message().data == str(self.told)
        self.told += 1

    def connect(self, data=b"", **more):
        sock = http.connect(self.address, **more)
        self.socks.append(sock)
        if data:
            sock.sendall(data)
        return sock

    def leave(self):
        for sock in self.socks:
            sock.close()
        self.socks = []

    def gone(self):
        """The attackers have left, and the gateway knows it."""
        self.leave()
        self.tick()
        until(lambda: self.gateway.metric("sluice_sockets") == 2, 8, "the connections to be gone")

    def rehearsed(self):
        """What the allocator keeps after the attack that was just made is no leak; what further ones add is."""
        self.gone()
        self.memory = memory(self.pid)

    def aftermath(self):
        self.gone()
        until(lambda: descriptors(self.pid) <= self.opened, 2, "the descriptors to be given back")
        until(lambda: memory(self.pid) - self.memory <= TOLERANCE[self.gateway.build], 2,
              lambda: f"{memory(self.pid) - self.memory >> 10} kB more than before to be given back")
        before = cpu_seconds(self.pid)
        time.sleep(0.2)
        assert cpu_seconds(self.pid) - before < 0.1, "it does not sleep"
        self.tick()
        assert self.gateway.alive()


@pytest.fixture
def scene(target, shared_redis, name):
    scene = Scene(target, shared_redis, name)
    yield scene
    try:
        scene.aftermath()
    finally:  # the next scene finds the gateway empty, whatever became of this one
        target.close_streams()
        target.wait_metric("sluice_sockets", 1)
