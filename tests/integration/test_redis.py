"""What Redis sees of the gateway: exactly what clients want now, and no more."""

import pytest

from harness.process import stays, until
from harness.redis import free_port

pytestmark = pytest.mark.threads


def test_redis_sees_one_subscription_a_channel_however_many_clients_and_workers(
        shared_redis, start_gateway):
    gateway = start_gateway(shared_redis, workers=3)
    streams = [gateway.subscribe("one.channel", pattern="one.*") for _ in range(40)]
    assert shared_redis.numsub("one.channel") == 1
    clients = shared_redis.cli("CLIENT", "LIST").decode()
    mine = [line for line in clients.splitlines() if "psub=1" in line]
    assert len(mine) == 1, clients
    shared_redis.publish("one.channel", "x")
    for stream in streams:
        assert stream.data(1) == ["x"]


def test_the_gateway_holds_a_fixed_number_of_redis_connections(redis, start_gateway):
    def connections():
        return len(redis.cli("CLIENT", "LIST").decode().splitlines())

    alone = connections()
    gateway = start_gateway(redis)
    few = connections()
    for n in range(60):
        gateway.subscribe(f"c{n}")
        gateway.post(f"/publish/c{n}", "x")
    assert connections() == few
    assert few - alone <= 3


def test_the_last_clients_leaving_unsubscribes_after_the_linger(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis, redis_linger_ms=400)
    before = shared_redis.numpat()
    first = gateway.subscribe("linger", pattern="linger.*")
    second = gateway.subscribe("linger")
    assert shared_redis.numpat() == before + 1
    first.close()
    until(lambda: shared_redis.numpat() == before, 5, "the pattern to be unsubscribed")
    assert shared_redis.numsub("linger") == 1
    second.close()
    until(lambda: shared_redis.numsub("linger") == 0, 5, "the channel to be unsubscribed")


def test_a_reload_of_the_page_keeps_the_subscription(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis, redis_linger_ms=3000)
    gateway.subscribe("reload").close()
    gateway.wait_metric("sluice_connections", 0)
    stays(lambda: shared_redis.numsub("reload") == 1, 0.5, "the lingering subscription")
    stream = gateway.subscribe("reload")
    shared_redis.publish("reload", "still")
    assert stream.data(1) == ["still"]
    stays(lambda: shared_redis.numsub("reload") == 1, 3.5, "the subscription of the new client")


def test_a_return_in_the_moment_of_unsubscribing_is_subscribed_again(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis, redis_linger_ms=1)
    for n in range(60):
        stream = gateway.subscribe("flap", pattern="flap*")
        shared_redis.publish("flap", n)
        assert stream.data(1) == [str(n)]
        stream.close()


def test_at_start_redis_sees_no_subscription_that_no_client_wants(redis, start_gateway):
    start_gateway(redis)
    channels = redis.cli("PUBSUB", "CHANNELS")
    assert all(c.startswith(b"sluice:") for c in channels), channels
    assert redis.numpat() == 0


def test_a_channel_is_subscribed_by_name_and_not_by_pattern(shared_redis, start_gateway):
    gateway = start_gateway(shared_redis)
    before = shared_redis.numpat()
    gateway.subscribe("byname")
    assert shared_redis.numsub("byname") == 1
    assert shared_redis.numpat() == before


def test_a_password_and_a_database_in_the_url_work(start_redis, start_gateway):
    redis = start_redis(requirepass="p@ss w/rd:")
    url = f"redis://:p%40ss%20w%2Frd%3A@127.0.0.1:{redis.port}/3"
    gateway = start_gateway(url)
    stream = gateway.subscribe("auth")
    assert gateway.post("/publish/auth", "x").json() == {"receivers": 1}
    assert stream.data(1) == ["x"]
    databases = {w for line in redis.cli("CLIENT", "LIST").decode().splitlines()
                 for w in line.split() if w.startswith("db=")}
    assert "db=3" in databases


def test_an_acl_user_works_with_just_what_it_needs(start_redis, start_gateway):
    redis = start_redis()
    redis.cli("ACL", "SETUSER", "gate", "on", ">word", "&*", "~*", "+subscribe", "+psubscribe",
              "+unsubscribe", "+punsubscribe", "+publish", "+ping", "+auth", "+hello", "+select")
    gateway = start_gateway(f"redis://gate:word@127.0.0.1:{redis.port}")
    stream = gateway.subscribe("acl", pattern="acl.*")
    gateway.post("/publish/acl", "x")
    assert stream.data(1) == ["x"]
    users = {w for line in redis.cli("CLIENT", "LIST").decode().splitlines()
             for w in line.split() if w.startswith("user=")}
    assert "user=gate" in users


def test_a_channel_that_the_acl_refuses_leaves_the_others_alone(start_redis, start_gateway):
    redis = start_redis()
    redis.cli("ACL", "SETUSER", "some", "on", ">word", "resetchannels", "&ok*", "&sluice:*", "~*",
              "+@all")
    gateway = start_gateway(f"redis://some:word@127.0.0.1:{redis.port}")
    refused = gateway.stream("/events?channel=secret")
    stream = gateway.subscribe("ok")
    redis.publish("secret", "hidden")
    redis.publish("ok", "seen")
    assert stream.data(1) == ["seen"]
    response = gateway.post("/publish/secret", "x")
    assert response.status in (403, 502, 503)
    response.error()
    assert gateway.post("/publish/ok", "end").status == 200
    assert stream.data(1) == ["end"]
    refused.close()


def test_a_unix_socket_url_works(shared_redis, start_gateway):
    gateway = start_gateway(f"unix://{shared_redis.socket}")
    stream = gateway.subscribe("path")
    shared_redis.publish("path", "x")
    assert stream.data(1) == ["x"]


def test_redis_host_and_port_in_the_environment_are_understood(start_redis, start_gateway):
    redis = start_redis(requirepass="word")
    gateway = start_gateway(broker="redis", env={"REDIS_HOST": "127.0.0.1", "REDIS_PORT": redis.port,
                                                 "REDIS_PASSWORD": "word"})
    gateway.wait_log("redis ready", 10)
    gateway.subscribe("env")
    assert redis.numsub("env") == 1


def test_sluice_redis_goes_before_redis_url(shared_redis, start_gateway):
    gateway = start_gateway(broker="redis", env={"REDIS_URL": f"redis://127.0.0.1:{free_port()}",
                                                 "SLUICE_REDIS": shared_redis.url})
    gateway.wait_log("redis ready", 10)


def test_two_gateways_on_one_redis_both_deliver(shared_redis, start_gateway):
    one, two = start_gateway(shared_redis), start_gateway(shared_redis)
    streams = [one.subscribe("both"), two.subscribe("both")]
    assert one.post("/publish/both", "x").json() == {"receivers": 2}
    assert [s.data(1) for s in streams] == [["x"], ["x"]]


@pytest.mark.parametrize("url", [
    "redis-sentinel://127.0.0.1:26379/mymaster", "sentinel://127.0.0.1:26379", "redis+cluster://a:1",
    "redis-cluster://127.0.0.1:7000", "redis://127.0.0.1:6379,127.0.0.1:6380", "http://127.0.0.1",
    "redis://127.0.0.1:70000", "redis://127.0.0.1:6379/x", "nonsense", "",
])
def test_a_url_that_cannot_work_ends_the_start_with_a_clear_error(url):
    import subprocess
    from harness.gateway import binary
    from harness.process import clean_env
    done = subprocess.run([binary(), "serve", "--open", "--listen", "127.0.0.1:0", "--redis", url],
                          capture_output=True, text=True, timeout=20, env=clean_env(), check=False)
    assert 0 < done.returncode < 99
    assert "redis" in done.stderr and "Sanitizer" not in done.stderr
    if "entinel" in url or "cluster" in url:
        assert ("entinel" if "entinel" in url else "luster") in done.stderr


def test_rediss_works_or_is_refused_by_name(start_redis):
    """hiredis 0.14 has no TLS; then the start must say so instead of speaking in clear."""
    import subprocess
    from harness.gateway import binary
    from harness.process import clean_env
    try:
        done = subprocess.run([binary(), "check", "--redis", "rediss://127.0.0.1:6390"], text=True,
                              capture_output=True, timeout=20, env=clean_env(), check=False)
    except subprocess.TimeoutExpired as late:
        raise AssertionError("sluice check did not end") from late
    assert done.returncode == 0 or "TLS" in done.stderr + done.stdout
