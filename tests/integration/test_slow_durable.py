"""Slow clients of durable channels read again what they had no room for; others get the latest."""

import pytest

from harness.process import until
from harness.sse import Event, Stream

pytestmark = pytest.mark.threads

NAMESPACES = [
    {"match": "plain.*"},
    {"match": "price.*", "slow": "latest"},
    {"match": "both.*", "history": {"messages": 100000}, "slow": "latest"},
    {"match": "*", "history": {"messages": 100000}},
]


@pytest.fixture
def gateway(shared_redis, start_gateway):
    return start_gateway(shared_redis, limits={"queue_bytes": 65536}, namespaces=NAMESPACES)


def sleeper(gateway, target):
    """A stream that reads its beginning and then nothing until it is asked."""
    stream = Stream(gateway.address, target, receive_buffer=4096).subscribed()
    gateway.streams.append(stream)
    return stream


def publish(gateway, channel, count, size=20_000, first=0):
    """Publishes that many, and returns their ids."""
    ids = []
    for at in range(first, first + count, 25):
        body = [{"channel": channel, "data": f"{n:06}" + "x" * size}
                for n in range(at, min(at + 25, first + count))]
        ids += [order.get("id") for order in gateway.post("/publish", body).json()]
    return ids


def fell_back(gateway, times=1):
    until(lambda: gateway.metric("sluice_slow_replays_total") >= times, 10, "a stream to fall back")


def numbers(events):
    return [int(e.data[:6]) for e in events]


@pytest.mark.deadline(60)
def test_a_slow_client_of_a_durable_channel_gets_all_of_it_in_order(gateway, name):
    slow = sleeper(gateway, f"/events?channel={name}")
    quick = gateway.subscribe(name)
    ids = publish(gateway, name, 600)
    assert [quick.message(10).id for _ in ids] == ids
    fell_back(gateway)
    assert [slow.message(10).id for _ in ids] == ids
    ids = publish(gateway, name, 5, first=600)
    assert [slow.message(10).id for _ in ids] == ids
    assert gateway.metric("sluice_slow_disconnects_total") == 0
    assert gateway.metric("sluice_gaps_total") == 0


@pytest.mark.deadline(60)
def test_it_falls_back_as_often_as_it_must(gateway, name):
    slow = sleeper(gateway, f"/events?channel={name}")
    for around in range(3):
        ids = publish(gateway, name, 500, first=around * 500)
        fell_back(gateway, around + 1)
        assert [slow.message(10).id for _ in ids] == ids


@pytest.mark.deadline(60)
def test_a_slow_client_that_is_trimmed_away_is_told_a_gap(shared_redis, start_gateway, name):
    gateway = start_gateway(shared_redis, limits={"queue_bytes": 65536}, namespaces=[
        {"match": "*", "history": {"messages": 10}}])
    slow = sleeper(gateway, f"/events?channel={name}")
    ids = publish(gateway, name, 1000)
    got = []
    while not got or got[-1].id != ids[-1]:
        item = slow.next(10)
        if isinstance(item, Event):
            got.append(item)
    gaps = [e for e in got if e.event == "sluice.gap"]
    messages = [e for e in got if e.event == "message"]
    assert [g.json()["reason"] for g in gaps] == ["trimmed"]
    after = got.index(gaps[0]) + 1
    assert [e.id for e in got[after:] if e.event == "message"] == ids[-10:]
    assert [e.id for e in messages[:-10]] == ids[:len(messages) - 10]


@pytest.mark.deadline(60)
def test_ephemeral_messages_without_room_on_a_durable_stream_are_one_gap(gateway, shared_redis, name):
    slow = sleeper(gateway, f"/events?channel={name}&channel=plain.{name}")
    quick = gateway.subscribe(f"plain.{name}")
    for n in range(600):
        shared_redis.publish(f"plain.{name}", f"{n:06}" + "x" * 20_000)
        quick.message()
    kept = []
    while True:
        item = slow.next(10)
        if isinstance(item, Event) and item.event == "sluice.gap":
            break
        if isinstance(item, Event) and item.event == "message":
            kept.append(item)
    assert item.json() == {"channel": f"plain.{name}", "reason": "overflow", "from": None}
    assert numbers(kept) == list(range(len(kept))) and len(kept) < 600
    shared_redis.publish(f"plain.{name}", "000600 next")
    assert slow.message().data == "000600 next"
    ids = publish(gateway, name, 1)
    assert slow.message().id == ids[0]
    assert gateway.metric("sluice_slow_disconnects_total") == 0


@pytest.mark.deadline(60)
@pytest.mark.parametrize("kind", ["price", "both"])
def test_a_slow_client_of_the_latest_gets_the_newest_of_each_channel(gateway, name, kind):
    channels = [f"{kind}.{name}.{n}" for n in range(5)]
    slow = sleeper(gateway, "/events?" + "&".join(f"channel={c}" for c in channels))
    quick = gateway.subscribe(channels[0])
    for n in range(0, 500, 5):
        for i, channel in enumerate(channels):
            publish(gateway, channel, 1, first=n + i)
        assert numbers([quick.message(10)]) == [n]
    until(lambda: gateway.metric("sluice_conflated_total") > 100, 10, "messages to be conflated")
    got = []
    while not set(range(495, 500)) <= set(got):
        got.append(int(slow.message(10).data[:6]))
    assert got == sorted(got) and len(got) < 400
    assert gateway.metric("sluice_slow_disconnects_total") == 0
    ids = publish(gateway, channels[2], 1, first=700)
    last = slow.message(10)
    assert numbers([last]) == [700] and last.id == ids[0]


@pytest.mark.deadline(60)
def test_the_latest_and_all_keep_their_order_on_one_stream(gateway, name):
    slow = sleeper(gateway, f"/events?channel={name}&channel=both.{name}")
    ids = []
    for n in range(300):
        publish(gateway, f"both.{name}", 1, first=n)
        ids += publish(gateway, name, 1, first=n)
    got = []
    while not got or got[-1].id != ids[-1]:
        got.append(slow.message(10))
    order = [tuple(map(int, e.id.split("-"))) for e in got]
    assert order == sorted(set(order))
    assert [e.id for e in got if e.id in set(ids)] == ids
