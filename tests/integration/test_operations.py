"""Operations: health, metrics, what is going on."""

import subprocess
import time

import pytest

from harness.process import until


def test_healthz_is_200(gateway):
    assert gateway.get("/healthz").status == 200


def test_readyz_says_ready(gateway):
    response = gateway.get("/readyz")
    assert response.status == 200
    assert response.header("content-type").startswith("application/json")
    assert response.json()["status"] == "ready"
    assert gateway.get("/readyz?strict=1").status == 200


def test_readyz_without_redis_is_degraded_and_only_strict_says_503(redis, start_gateway):
    """A load balancer must not tear down live streams because Redis is away."""
    gateway = start_gateway(redis)
    redis.kill()
    gateway.wait_log("redis unavailable")
    response = gateway.get("/readyz")
    assert response.status == 200 and response.json()["status"] == "degraded"
    strict = gateway.get("/readyz?strict=1")
    assert strict.status == 503 and strict.json()["status"] == "degraded"
    assert gateway.get("/healthz").status == 200
    assert gateway.metric("sluice_redis_up") == 0


NAMES = {
    "sluice_connections": "gauge", "sluice_deliveries_total": "counter",
    "sluice_messages_total": "counter", "sluice_slow_disconnects_total": "counter",
    "sluice_redis_up": "gauge", "sluice_publish_to_write_seconds": "histogram",
}


def test_promtool_finds_no_fault_in_metrics(gateway, shared_redis):
    stream = gateway.subscribe("prom")
    shared_redis.publish("prom", "x")
    stream.message()
    response = gateway.get("/metrics")
    assert response.status == 200
    assert response.header("content-type").startswith("text/plain; version=0.0.4")
    done = subprocess.run(["promtool", "check", "metrics"], input=response.body, timeout=20,
                          capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


@pytest.mark.parametrize("name, kind", NAMES.items())
def test_metrics_names_what_an_operator_needs(gateway, name, kind):
    text = gateway.get("/metrics").body.decode()
    assert f"# TYPE {name} {kind}\n" in text
    assert f"# HELP {name} " in text


def test_the_counters_count(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis)
    assert gateway.metric("sluice_redis_up") == 1
    streams = [gateway.subscribe("count") for _ in range(4)]
    gateway.wait_metric("sluice_connections", 4)
    for n in range(10):
        shared_redis.publish("count", n)
    for stream in streams:
        stream.data(10)
    until(lambda: gateway.metric("sluice_deliveries_total") == 40, 5, "40 deliveries")
    assert gateway.metric("sluice_messages_total") == 10


def test_the_histogram_measures_publish_to_write(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis)
    stream = gateway.subscribe("hist")
    for n in range(20):
        shared_redis.publish("hist", n)
        stream.message()
    until(lambda: gateway.metric("sluice_publish_to_write_seconds_count") >= 20, 5, "20 samples")
    samples = gateway.metrics()
    total = samples["sluice_publish_to_write_seconds_sum"]
    count = samples["sluice_publish_to_write_seconds_count"]
    assert 0 < total / count < 1
    buckets = [v for k, v in samples.items() if k.startswith("sluice_publish_to_write_seconds_bucket")]
    assert buckets == sorted(buckets) and buckets[-1] == count


def test_there_is_never_a_series_per_channel(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis)
    before = len(gateway.metrics())
    for n in range(50):
        gateway.subscribe(f"series.{n}")
        shared_redis.publish(f"series.{n}", "x")
    samples = gateway.metrics()
    assert len(samples) <= before + 5
    assert "series." not in " ".join(samples)


def test_api_stats_is_json_with_what_is_open(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis)
    for _ in range(3):
        gateway.subscribe("stats")
    gateway.wait_metric("sluice_connections", 3)
    response = gateway.get("/api/stats")
    assert response.status == 200
    assert response.header("content-type").startswith("application/json")
    stats = response.json()
    assert stats["counters"]["connections"] == 3
    assert stats["broker"] == "redis" and stats["redis"] == "ready" and stats["workers"] == 2


def channel_names(page):
    return [row["channel"] for row in page["channels"]]


def test_api_channels_lists_channels_with_their_streams(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis)
    for count in (1, 2, 3):
        for _ in range(count):
            gateway.subscribe(f"listed.{count}")
    rows = gateway.get("/api/channels").json()["channels"]
    assert [(r["channel"], r["streams"]) for r in rows] == [
        ("listed.1", 1), ("listed.2", 2), ("listed.3", 3)]


def test_api_channels_is_paged_by_limit_and_after(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis)
    names = sorted(f"page.{n}" for n in range(25))
    gateway.subscribe(*names)
    gateway.subscribe("other")
    assert channel_names(gateway.get("/api/channels?prefix=other").json()) == ["other"]
    got, after, pages = [], "", 0
    while after is not None:
        page = gateway.get(f"/api/channels?prefix=page.&limit=7&after={after}").json()
        assert len(page["channels"]) <= 7
        got += channel_names(page)
        after = page["next"]
        pages += 1
    assert (got, pages) == (names, 4)


def test_an_empty_parameter_of_api_channels_is_as_good_as_none(gateway, name):
    gateway.subscribe(name)
    wanted = gateway.get("/api/channels").json()
    assert name in channel_names(wanted)
    for query in ("prefix=", "limit=", "after=", "prefix=&limit=&after="):
        assert gateway.get("/api/channels?" + query).json() == wanted, query


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x", "limit=99999999999999999999"])
def test_a_limit_that_is_no_number_in_range_is_400(gateway, query):
    response = gateway.get("/api/channels?" + query)
    assert response.status == 400
    assert "limit" in response.error()


def test_the_page_is_served_with_its_scripts(gateway):
    response = gateway.get("/")
    assert response.status == 200
    assert response.header("content-type").startswith("text/html")
    assert b"<html" in response.body.lower()


def test_what_is_not_there_is_404_as_json(gateway):
    for target in ("/nothing", "/api/nothing", "/events/x", "/../etc/passwd", "/%2e%2e/etc/passwd"):
        response = gateway.get(target)
        assert response.status in (400, 404), target
        response.error()


def test_an_idle_gateway_uses_next_to_no_cpu(shared_redis, start_gateway, start_crowd):
    from harness.process import cpu_seconds
    gateway = start_gateway(shared_redis)
    crowd = start_crowd(gateway.address, ["/events?channel=idle"] * 200)
    time.sleep(0.5)
    before = cpu_seconds(gateway.child.pid)
    time.sleep(3)
    assert cpu_seconds(gateway.child.pid) - before < 0.3
    crowd.close()
    gateway.wait_metric("sluice_connections", 0, 10)
    before = cpu_seconds(gateway.child.pid)
    time.sleep(2)
    assert cpu_seconds(gateway.child.pid) - before < 0.2, "closed clients are still being served"
