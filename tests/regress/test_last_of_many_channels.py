"""Of the last messages of many channels each slow client held a list of its own, of up to a hundred thousand."""

from urllib.parse import urlencode

from harness import http
from harness.process import memory

CHANNELS = [f"d.{n}" for n in range(100)]
MESSAGES = 400
CLIENTS = 60
# A short quarantine: freed memory that the sanitizer keeps would look held.
ASAN = {"ASAN_OPTIONS": "halt_on_error=1:exitcode=99:detect_leaks=1:quarantine_size_mb=1:"
                        "thread_local_quarantine_size_kb=64"}
SETTINGS = {"namespaces": [{"match": "d.*", "history": {}}]}


def fill(redis):
    for i in range(MESSAGES):
        redis.pipeline([("FCALL", "sluice_publish", "1", "sluice:", c, str(i)) for c in CHANNELS])


def target(last, **more):
    return "/events?" + urlencode([("channel", c) for c in CHANNELS] + [("last", last), *more.items()])


def test_clients_that_do_not_read_hold_little(redis, start_gateway):
    gateway = start_gateway(redis, env=ASAN, **SETTINGS)
    fill(redis)
    asked = http.request_bytes(gateway.address, "GET", target(MESSAGES))
    gateway.get(target(MESSAGES, live=0))  # now the rings are full
    before = memory(gateway.child.pid)
    socks = [http.connect(gateway.address, receive_buffer=4096) for _ in range(CLIENTS)]
    for sock in socks:
        sock.sendall(asked)
    for sock in socks:
        got = 0
        while got < 20_000:  # more than the head: the first slice has come, and waits for the client
            got += len(sock.recv(4096))
    taken = memory(gateway.child.pid) - before
    for sock in socks:
        sock.close()
    assert taken < CLIENTS * 600_000, f"{taken // CLIENTS >> 10} kB a client"


def test_each_channel_gives_just_as_many_as_were_asked_for(redis, start_gateway):
    gateway = start_gateway(redis, **SETTINGS)
    fill(redis)
    with gateway.stream(target(150, live=0, wrap=1)) as stream:
        found = [item.json() for item in stream.rest(30) if getattr(item, "event", "") == "message"]
    per_channel = {c: [int(m["data"]) for m in found if m["channel"] == c] for c in CHANNELS}
    assert per_channel == {c: list(range(MESSAGES - 150, MESSAGES)) for c in CHANNELS}
