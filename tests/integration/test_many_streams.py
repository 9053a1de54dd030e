"""Thousands of real sockets."""

import os

import pytest

from harness.process import until

# ThreadSanitizer keeps shadow memory a socket; the promise is counted in full under the asan build.
STREAMS = int(os.environ.get("SLUICE_TEST_STREAMS", "2000"))

pytestmark = pytest.mark.alone


@pytest.mark.threads
@pytest.mark.deadline(120)
def test_one_publication_reaches_each_of_two_thousand_streams_exactly_once(
        shared_redis, start_gateway, start_crowd):
    gateway = start_gateway(shared_redis, workers=2)
    crowd = start_crowd(gateway.address, ["/events?channel=crowd&pattern=crow*"] * STREAMS)
    assert len(crowd) == STREAMS
    assert shared_redis.numsub("crowd") == 1
    assert gateway.metric("sluice_connections") == STREAMS
    shared_redis.publish("crowd", "once")
    shared_redis.publish("crowd", "end")
    crowd.wait_data(2, 60)
    assert all(m.data() == ["once", "end"] for m in crowd)
    assert gateway.metric("sluice_deliveries_total") == 2 * STREAMS


@pytest.mark.deadline(120)
def test_each_of_a_thousand_channels_goes_to_its_own_stream_alone(
        shared_redis, start_gateway, start_crowd):
    gateway = start_gateway(shared_redis)
    crowd = start_crowd(gateway.address, [f"/events?channel=own.{n}" for n in range(1000)])
    shared_redis.pipeline([("PUBLISH", f"own.{n}", f"for own.{n}") for n in range(1000)])
    crowd.wait_data(1, 60)
    assert all(m.data() == ["for " + m.target.split("=")[1]] for m in crowd)


@pytest.mark.threads
@pytest.mark.deadline(120)
def test_a_burst_arrives_complete_and_in_order_on_every_stream(
        shared_redis, start_gateway, start_crowd):
    gateway = start_gateway(shared_redis, limits={"queue_bytes": 4 << 20})
    crowd = start_crowd(gateway.address, ["/events?channel=burst"] * 100)
    shared_redis.pipeline([("PUBLISH", "burst", n) for n in range(1000)])
    crowd.wait_data(1000, 60)
    wanted = [str(n) for n in range(1000)]
    assert all(m.data() == wanted for m in crowd)


@pytest.mark.threads
@pytest.mark.deadline(120)
def test_streams_that_come_and_go_under_load_leave_nothing_behind(
        shared_redis, start_gateway, start_crowd):
    gateway = start_gateway(shared_redis, redis_linger_ms=50)
    steady = gateway.subscribe("churn.steady")
    for turn in range(5):
        crowd = start_crowd(gateway.address, [f"/events?channel=churn.{n % 20}&pattern=churn.{n}*"
                                              for n in range(100)])
        shared_redis.pipeline([("PUBLISH", f"churn.{n % 20}", n) for n in range(200)])
        shared_redis.publish("churn.steady", turn)
        crowd.close()
        assert steady.data(1) == [str(turn)]
    until(lambda: gateway.metric("sluice_connections") == 1, 10, "one stream to be left")
    until(lambda: shared_redis.numpat() == 0, 10, "no pattern to be left")
    assert shared_redis.numsub("churn.3") == 0
