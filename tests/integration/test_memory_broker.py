"""The memory broker: the same hub without a Redis."""

import pytest

pytestmark = pytest.mark.threads


@pytest.fixture
def memory(start_gateway):
    return start_gateway(namespaces=[{"match": "env.*", "payload": "envelope"}, {"match": "*"}])


def test_receivers_is_the_number_of_streams(memory):
    assert memory.post("/publish/m", "x").json() == {"receivers": 0}
    for count in range(1, 6):
        memory.subscribe("m")
        assert memory.post("/publish/m", "x").json() == {"receivers": count}


def test_a_stream_counts_once_however_its_names_overlap(memory):
    stream = memory.subscribe("o.a", pattern=["o.*", "*"])
    memory.subscribe("other")
    assert memory.post("/publish/o.a", "x").json() == {"receivers": 1}
    assert memory.post("/publish/o.b", "y").json() == {"receivers": 1}
    assert stream.data(2) == ["x", "y"]


def test_a_stream_that_left_is_not_counted(memory):
    stays, leaves = memory.subscribe("l"), memory.subscribe("l")
    leaves.close()
    memory.wait_metric("sluice_connections", 1)
    assert memory.post("/publish/l", "x").json() == {"receivers": 1}
    assert stays.data(1) == ["x"]


def test_envelopes_and_patterns_work_as_with_redis(memory):
    stream = memory.subscribe(pattern="*", wrap="1")
    memory.post("/publish/env.a?event=e", "d")
    memory.post("/publish/plain", "p")
    assert stream.message().json() == {"channel": "env.a", "event": "e", "data": "d", "id": None}
    assert stream.message().json()["data"] == "p"


def test_it_is_ready_at_once(memory):
    assert memory.get("/readyz").json()["status"] == "ready"
    assert memory.get("/readyz?strict=1").status == 200


def test_redis_enabled_false_chooses_it(start_gateway):
    """A URL that nobody answers would show as degraded."""
    gateway = start_gateway("redis://127.0.0.1:1/0", wait=False, env={"REDIS_ENABLED": "false"})
    assert gateway.get("/readyz").json()["status"] == "ready"
    gateway.subscribe("e")
    assert gateway.post("/publish/e", "x").json() == {"receivers": 1}


def test_the_order_of_one_publisher_is_kept_on_every_stream(memory):
    streams = [memory.subscribe("order") for _ in range(8)]
    from harness.http import Connection
    with Connection(memory.address) as connection:
        for n in range(100):
            connection.request("POST", "/publish/order", body=b"%d" % n)
    for stream in streams:
        assert stream.data(100) == [str(n) for n in range(100)]
