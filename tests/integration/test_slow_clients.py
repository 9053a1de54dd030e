"""Slow clients cost bounded memory and nobody else's time."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.gateway import Gateway
from harness.process import memory, reset_peak, spawn, until
from harness.resp import Resp
from harness.sse import Stream

HERE = Path(__file__).parent
MEGABYTE = 1 << 20


def sleeper(gateway, target):
    """A stream that reads its beginning and then nothing more."""
    stream = Stream(gateway.address, target, receive_buffer=4096).subscribed()
    gateway.streams.append(stream)
    return stream


@pytest.mark.threads
@pytest.mark.deadline(60)
def test_a_client_that_never_reads_is_closed_and_counted(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis, limits={"queue_bytes": 65536})
    sleepers = [sleeper(gateway, "/events?channel=slow") for _ in range(3)]
    reader = gateway.subscribe("slow")
    for n in range(300):  # 30 MB: more than the kernel's buffers of a socket
        shared_redis.publish("slow", f"{n:06}" + "x" * 100_000)
        assert reader.message(10).data[:6] == f"{n:06}"
    gateway.wait_metric("sluice_slow_disconnects_total", len(sleepers))
    gateway.wait_metric("sluice_connections", 1)
    assert reader.is_open()


@pytest.mark.threads
def test_a_slow_client_gets_whole_frames_until_it_is_closed(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis, limits={"queue_bytes": 65536})
    stream = sleeper(gateway, "/events?channel=whole")
    for n in range(200):
        shared_redis.publish("whole", f"{n:06}" + "x" * 100_000)
    gateway.wait_metric("sluice_slow_disconnects_total", 1, 20)
    got = [i.data for i in stream.rest(15) if getattr(i, "event", "") == "message"]
    assert [d[:6] for d in got] == [f"{n:06}" for n in range(len(got))]
    assert all(len(d) == 100_006 for d in got)


@pytest.mark.threads
def test_an_empty_queue_takes_one_frame_however_large(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis, limits={"queue_bytes": 4096, "message_bytes": 8 * MEGABYTE})
    stream = gateway.subscribe("large")
    for n in range(5):
        shared_redis.publish("large", str(n) * 4 * MEGABYTE)
        assert stream.message(10).data == str(n) * 4 * MEGABYTE
    assert gateway.metric("sluice_slow_disconnects_total") == 0


def test_a_reader_that_keeps_up_over_a_small_queue_is_not_closed(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis, limits={"queue_bytes": 32768})
    stream = gateway.subscribe("steady")
    for n in range(2000):
        shared_redis.publish("steady", "x" * 1000)
        assert len(stream.message().data) == 1000
    assert gateway.metric("sluice_slow_disconnects_total") == 0


@pytest.mark.alone
@pytest.mark.threads
def test_a_slow_client_of_one_channel_does_not_delay_another(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis, workers=1)
    sleeper(gateway, "/events?channel=stuck")
    quick = gateway.subscribe("quick")
    took = []
    for n in range(60):
        shared_redis.publish("stuck", "x" * 200_000)
        began = time.monotonic()
        shared_redis.publish("quick", n)
        assert quick.data(1) == [str(n)]
        took.append(time.monotonic() - began)
    assert sorted(took)[-3] < 1, took  # in two of them it may have been the machine that stood still


class Flood:
    """harness/flood.py, driven by lines."""

    def __init__(self, port, channel, readers, sleepers):
        argv = [sys.executable, "-m", "harness.flood", str(port), channel, str(readers), str(sleepers)]
        self.child = spawn(argv, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
        self.answer("joined")

    def answer(self, word):
        line = self.child.stdout.readline()
        assert line.startswith(word), f"{line!r} {self.child.stderr.read() if not line else ''}"
        return line

    def expect(self, total):
        """Seconds until every reader had `total` bytes."""
        self.child.stdin.write(f"expect {total}\n")
        self.child.stdin.flush()
        return float(self.answer("got").split()[2])

    def close(self):
        self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout, self.child.stderr):
            pipe.close()


@pytest.mark.alone
@pytest.mark.release
@pytest.mark.deadline(180)
def test_a_thousand_clients_that_never_read_cost_at_most_32_megabytes_and_nobody_else_waits(
        shared_redis, makers):
    gateway = makers.add(Gateway(shared_redis, kind="release", stream={"heartbeat_seconds": 300}))
    flood = makers.add(Flood(gateway.ports[0], "flood", 100, 1000))
    until(lambda: gateway.metric("sluice_connections") == 1100, 20, "1100 streams")
    publisher = makers.add(Resp(("127.0.0.1", shared_redis.port), 60))
    size, window = 16384, 8
    frame = len(b"data: \n\n") + size
    pid = gateway.child.pid
    before = memory(pid)
    reset_peak(pid)
    sent, slowest = 0, 0.0
    while sent < 100 * MEGABYTE // size:  # a window at a time: readers that keep up must not be cut
        publisher.pipeline([("PUBLISH", "flood", b"x" * size)] * window)
        sent += window
        slowest = max(slowest, flood.expect(sent * frame))
    grown = memory(pid, "VmHWM") - before
    assert grown <= 32 * MEGABYTE, f"grew by {grown / MEGABYTE:.1f} MB"
    assert slowest < 3, f"the slowest window took {slowest:.2f} s"
    gateway.wait_metric("sluice_slow_disconnects_total", 1000, 20)
    gateway.wait_metric("sluice_connections", 100)
