"""A replay over a pattern's many channels took time by their square, in the thread that serves all."""

from harness import http
from harness.process import cpu_seconds

CHANNELS = 20_000
CLIENTS = 4


def everything(sock):
    """The whole answer; the parser of the streams is too slow for so much."""
    return b"".join(iter(lambda: sock.recv(1 << 20), b""))


def test_a_replay_of_many_channels_costs_what_its_messages_cost(start_gateway, start_redis):
    redis = start_redis()
    gateway = start_gateway(redis, namespaces=[{"match": "many.*", "history": {}}, {"match": "*"}])
    before = gateway.post("/publish/many.first", "x").json()["id"]
    for i in range(0, CHANNELS, 1000):
        redis.pipeline([("FCALL", "sluice_publish", "1", "sluice:", f"many.{n}", f"<{n}>")
                        for n in range(i, i + 1000)])
    spent = cpu_seconds(gateway.child.pid)
    asked = http.request_bytes(gateway.address, "GET", "/events?pattern=many.*&live=0", [("Last-Event-ID", before)])
    socks = [http.connect(gateway.address, 60) for _ in range(CLIENTS)]
    for sock in socks:
        sock.sendall(asked)
    for sock in socks:
        with sock:
            lines = everything(sock).split(b"\n")
        found = [line for line in lines if line.startswith(b"data: <")]
        assert found == [b"data: <%d>" % n for n in range(CHANNELS)]
    spent = cpu_seconds(gateway.child.pid) - spent
    assert spent < 6, f"{spent:.1f} s for {CLIENTS} replays"
