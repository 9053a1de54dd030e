"""Two replays that wanted different parts of the same two logs threw away, for ever, what had been read for the other."""

from urllib.parse import urlencode

from harness.sse import Stream

HISTORY = {"messages": 100000, "seconds": 3600}
CHANNELS = ("d.one", "d.two")


def test_streams_far_apart_in_the_same_logs_all_come_to_their_end(redis, start_gateway):
    gateway = start_gateway(redis, replay_bytes=1 << 20, namespaces=[{"match": "d.*", "history": HISTORY}])
    ids = [gateway.post(f"/publish/{CHANNELS[n % 2]}", b"x" * 60000).json()["id"] for n in range(120)]
    target = "/events?" + urlencode([("channel", c) for c in CHANNELS] + [("live", "0")])
    redis.stop()  # so that all of them wait at once
    streams = [Stream(gateway.address, target, [("Last-Event-ID", ids[n])]) for n in range(0, 100, 12)]
    redis.cont()
    for n, stream in zip(range(0, 100, 12), streams):
        items = [getattr(item, "id", None) for item in stream.rest(15)]
        assert [i for i in items if i][:len(ids) - n - 1] == ids[n + 1:]
        stream.close()
