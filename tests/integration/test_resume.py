"""Durable channels over HTTP: resume, history, heads and gaps, exactly once and in order."""

import re
from urllib.parse import quote

import pytest

from harness.gateway import Gateway
from harness.sse import Closed, Event

pytestmark = pytest.mark.threads

ID = re.compile(r"[1-9][0-9]{12,}-(0|[1-9][0-9]{0,2})")
NAMESPACES = [
    {"match": "few.*", "history": {"messages": 3}},
    {"match": "plain.*"},
    {"match": "env.*", "history": {}, "payload": "envelope"},
    {"match": "*", "history": {}},
]


@pytest.fixture(scope="module", params=["redis", "memory"])
def durable(request, shared_redis, module_makers):
    broker = shared_redis if request.param == "redis" else None
    return module_makers.add(Gateway(broker, namespaces=NAMESPACES, stream={"heartbeat_seconds": 1}))


@pytest.fixture
def gateway(durable):
    yield durable
    assert durable.alive(), durable.log()[-3000:]
    durable.close_streams()


def number(ident):
    """An id as a number, to compare."""
    assert ID.fullmatch(ident), ident
    ms, rest = ident.split("-")
    return int(ms) * 1000 + int(rest)


def publish(gateway, channel, *datas):
    """Publishes each and returns their ids."""
    ids = []
    for data in datas:
        answer = gateway.post(f"/publish/{quote(channel)}", data)
        assert answer.status == 200, answer
        ids.append(answer.json()["id"])
    assert [number(i) for i in ids] == sorted(number(i) for i in ids)
    return ids


def replay(gateway, target, headers=()):
    """What a stream with live=0 has: the events until it ends, without those of the gateway's own."""
    events = whole_replay(gateway, target, headers)
    return [e for e in events if not e.event.startswith("sluice.")]


def whole_replay(gateway, target, headers=()):
    stream = gateway.stream(target + "&live=0", headers)
    assert stream.status == 200, stream.response
    return [i for i in stream.rest(10) if isinstance(i, Event)]


def pairs(events):
    return [(e.id, e.data) for e in events]


# -- publishing ------------------------------------------------------------------------------------


def test_a_durable_publish_answers_the_messages_id(gateway, name):
    stream = gateway.subscribe(name)
    answer = gateway.post(f"/publish/{name}", "x").json()
    assert list(answer) == ["id"]
    assert stream.message() == Event("message", "x", answer["id"])


def test_a_batch_answers_ids_and_receivers_by_channel(gateway, name):
    body = [{"channel": [name, f"plain.{name}"], "data": "x"}]
    one, two = gateway.post("/publish", body).json()
    assert list(one) == ["channel", "id"] and ID.fullmatch(one["id"])
    assert two == {"channel": f"plain.{name}", "receivers": 0}


def test_an_event_name_needs_no_envelope_on_a_durable_channel(gateway, name):
    for channel in (name, f"env.{name}"):
        stream = gateway.subscribe(channel)
        ident = gateway.post(f"/publish/{channel}?event=paid", "x").json()["id"]
        assert stream.message() == Event("paid", "x", ident)


@pytest.mark.parametrize("form", ["query", "header", "json"])
def test_a_key_publishes_once_and_answers_the_first_id(gateway, name, form):
    stream = gateway.subscribe(name)

    def send(data):
        if form == "query":
            return gateway.post(f"/publish/{name}?key=order%2017", data)
        if form == "header":
            return gateway.post(f"/publish/{name}", data, {"Idempotency-Key": "order 17"})
        return gateway.post("/publish", {"channel": name, "data": data, "key": "order 17"})

    ids = [send("first").json()["id"] for _ in range(3)]
    assert ids[0] == ids[1] == ids[2]
    publish(gateway, name, "next")
    assert stream.data(2) == ["first", "next"]


def test_a_key_on_a_channel_without_history_is_400(gateway, name):
    answer = gateway.post(f"/publish/plain.{name}?key=k", "x")
    assert answer.status == 400 and answer.error().startswith("key: ")
    answer = gateway.post("/publish", [{"channel": f"plain.{name}", "data": "x", "key": "k"}])
    assert answer.status == 400 and answer.error().startswith("[0].key: ")


@pytest.mark.parametrize("key", ["", "k" * 201, "a%0Ab"], ids=["empty", "long", "line end"])
def test_a_key_that_is_none_is_400(gateway, name, key):
    answer = gateway.post(f"/publish/{name}?key={key}", "x")
    assert answer.status == 400 and answer.error().startswith("key: ")


# -- resume ----------------------------------------------------------------------------------------


def test_a_client_that_comes_back_gets_what_it_missed_exactly_once_and_in_order(gateway, name):
    stream = gateway.subscribe(name)
    sent = publish(gateway, name, *map(str, range(3)))
    got = [stream.message() for _ in range(3)]
    stream.close()
    for around in range(3):
        sent += publish(gateway, name, *(f"away{around}.{n}" for n in range(5)))
        stream = gateway.stream(f"/events?channel={name}", {"Last-Event-ID": got[-1].id})
        got += [stream.message() for _ in range(5)]
        sent += publish(gateway, name, f"live{around}")
        got.append(stream.message())
        stream.close()
    assert [e.id for e in got] == sent


@pytest.mark.parametrize("parameter", ["lastEventId", "lastEventID", "last_event_id"])
def test_the_last_event_id_may_stand_in_the_query(gateway, name, parameter):
    a, b = publish(gateway, name, "a", "b")
    assert pairs(replay(gateway, f"/events?channel={name}&{parameter}={a}")) == [(b, "b")]


def test_the_header_goes_before_the_query_and_an_empty_one_is_none(gateway, name):
    a, b, c = publish(gateway, name, "a", "b", "c")
    target = f"/events?channel={name}&lastEventId={a}"
    assert pairs(replay(gateway, target, {"Last-Event-ID": b})) == [(c, "c")]
    assert pairs(replay(gateway, target, {"Last-Event-ID": ""})) == [(b, "b"), (c, "c")]


def test_a_repeated_parameter_counts_by_its_first_value(gateway, name):
    a, b, c = publish(gateway, name, "a", "b", "c")
    target = f"/events?channel={name}&lastEventId={b}&lastEventId={a}"
    assert pairs(replay(gateway, target)) == [(c, "c")]


def test_one_id_resumes_many_channels_and_patterns(gateway, name):
    channels = [f"{name}.{n}" for n in range(20)]
    first = publish(gateway, channels[0], "first")[0]
    sent = [(publish(gateway, channels[n % 20], str(n))[0], str(n)) for n in range(60)]
    named = "&".join(f"channel={c}" for c in channels)
    assert pairs(replay(gateway, f"/events?{named}&lastEventId={first}")) == sent
    by_pattern = f"/events?pattern={name}.*&lastEventId={first}"
    assert pairs(replay(gateway, by_pattern)) == sent
    overlapping = f"/events?{named}&pattern={name}.*&pattern={name}.1*&lastEventId={first}"
    assert pairs(replay(gateway, overlapping)) == sent


def test_a_long_replay_comes_whole_over_many_slices(gateway, name):
    start = publish(gateway, name, "start")[0]
    body = [{"channel": name, "data": f"{n} " + "x" * 1500} for n in range(600)]
    sent = [o["id"] for o in gateway.post("/publish", body).json()]
    events = replay(gateway, f"/events?channel={name}&lastEventId={start}")
    assert [e.id for e in events] == sent
    assert [e.data.split()[0] for e in events] == [str(n) for n in range(600)]


def test_what_is_published_during_a_replay_comes_behind_it(gateway, name):
    start = publish(gateway, name, "start")[0]
    body = [{"channel": name, "data": "x" * 3000} for _ in range(300)]
    sent = [o["id"] for o in gateway.post("/publish", body).json()]
    stream = gateway.stream(f"/events?channel={name}", {"Last-Event-ID": start}, receive_buffer=4096)
    sent += publish(gateway, name, *map(str, range(20)))
    assert [stream.message(10).id for _ in sent] == sent
    sent = publish(gateway, name, "live")
    assert stream.message().id == sent[0]


def test_events_and_wrapping_are_as_they_were_live(gateway, name):
    live = gateway.subscribe(name, wrap=1)
    start = publish(gateway, name, "start")[0]
    gateway.post(f"/publish/{name}?event=paid", "two\nlines \u20ac")
    was = [live.message() for _ in range(2)]
    assert was[1].json() == {"channel": name, "event": "paid", "data": "two\nlines \u20ac",
                             "id": was[1].id}
    assert replay(gateway, f"/events?channel={name}&wrap=1&lastEventId={start}") == was[1:]
    plain = replay(gateway, f"/events?channel={name}&lastEventId={start}")
    assert plain == [Event("paid", "two\nlines \u20ac", was[1].id)]


def test_a_plain_publish_reaches_a_durable_stream_without_an_id(shared_redis, start_gateway, name):
    gateway = start_gateway(shared_redis, namespaces=NAMESPACES)
    stream = gateway.subscribe(name)
    shared_redis.publish(name, "plain")
    assert stream.message() == Event("message", "plain", None)
    ident = publish(gateway, name, "durable")[0]
    assert stream.message() == Event("message", "durable", ident)


# -- ids that are none -----------------------------------------------------------------------------


@pytest.mark.parametrize("ident", ["nonsense", "5", "-", "1-1000", "\u00e9", "9" * 40,
                                   "9" * 30 + "-1", "18446744073709551615-0"])
def test_an_id_that_is_none_gets_all_there_is_behind_a_gap(gateway, name, ident):
    sent = publish(gateway, name, "a", "b")
    events = whole_replay(gateway, f"/events?channel={name}&lastEventId={quote(ident)}")
    gap, *messages, head = events
    assert gap.event == "sluice.gap"
    assert gap.json() == {"channel": name, "reason": "unknown", "from": None}
    assert pairs(messages) == list(zip(sent, ["a", "b"]))
    assert head.event == "sluice.head"


def test_an_id_of_the_future_is_unknown_too(gateway, name):
    sent = publish(gateway, name, "a")
    future = "9007199254740-991"
    gap, message, _ = whole_replay(gateway, f"/events?channel={name}&lastEventId={future}")
    assert gap.json() == {"channel": name, "reason": "unknown", "from": None}
    assert message.id == sent[0]


def test_what_is_trimmed_is_a_gap_before_what_is_left(gateway, name):
    channel = f"few.{name}"
    sent = publish(gateway, channel, *map(str, range(10)))
    gap, *messages, head = whole_replay(gateway, f"/events?channel={channel}&lastEventId={sent[2]}")
    assert gap.json() == {"channel": channel, "reason": "trimmed", "from": sent[2]}
    assert number(sent[2]) < number(gap.id) < number(sent[7])
    assert pairs(messages) == list(zip(sent[7:], "789"))
    again = whole_replay(gateway, f"/events?channel={channel}&lastEventId={gap.id}")
    assert pairs(again) == pairs([*messages, head]) or again[:3] == messages


def test_an_id_within_what_is_left_is_no_gap(gateway, name):
    channel = f"few.{name}"
    sent = publish(gateway, channel, *map(str, range(10)))
    events = whole_replay(gateway, f"/events?channel={channel}&lastEventId={sent[6]}")
    assert pairs(events)[:-1] == list(zip(sent[7:], "789"))


# -- since, last, live=0 ---------------------------------------------------------------------------


def test_since_takes_an_id_or_seconds(gateway, name):
    a, b = publish(gateway, name, "a", "b")
    assert pairs(replay(gateway, f"/events?channel={name}&since={a}")) == [(b, "b")]
    assert pairs(replay(gateway, f"/events?channel={name}&since=600")) == [(a, "a"), (b, "b")]
    assert replay(gateway, f"/events?channel={name}&since=0") == []


def test_last_takes_so_many_of_each_channel(gateway, name):
    a = publish(gateway, f"{name}.a", *map(str, range(5)))
    b = publish(gateway, f"{name}.b", "only")
    target = f"/events?channel={name}.a&channel={name}.b&last=2"
    assert [e.id for e in replay(gateway, target)] == [*a[3:], *b]


def test_last_of_a_long_log_reads_its_end(start_gateway, shared_redis, name):
    gateway = start_gateway(shared_redis, namespaces=[{"match": "*", "history": {"messages": 10000}}])
    words = ("FCALL", "sluice_publish", 1, "sluice:", name)
    sent = shared_redis.pipeline([(*words, n, "messages", 10000) for n in range(5000)])
    def reads():
        found = re.search(rb"cmdstat_xrange:calls=(\d+)", shared_redis.cli("INFO", "commandstats"))
        return int(found[1]) if found else 0
    before = reads()
    assert [e.id for e in replay(gateway, f"/events?channel={name}&last=3")] == [i.decode() for i in sent[-3:]]
    assert reads() - before == 2  # the beginning, and what was asked for


def test_without_any_of_them_a_stream_begins_now(gateway, name):
    publish(gateway, name, "a")
    assert replay(gateway, f"/events?channel={name}") == []


def test_with_a_last_id_since_and_last_mean_nothing(gateway, name):
    a, b = publish(gateway, name, "a", "b")
    for more in ("since=600", "last=10"):
        events = replay(gateway, f"/events?channel={name}&{more}", {"Last-Event-ID": a})
        assert pairs(events) == [(b, "b")]


@pytest.mark.parametrize("query,member", [
    ("since=x", "since"), ("since=1-1000", "since"), ("since=31536001", "since"),
    ("since=-5", "since"), ("last=0", "last"), ("last=1001", "last"), ("last=x", "last"),
    ("since=5&last=5", "since and last")])
def test_a_malformed_since_or_last_is_400(gateway, name, query, member):
    answer = gateway.get(f"/events?channel={name}&{query}")
    assert answer.status == 400 and answer.error().startswith(member + ":")


def test_live_0_ends_the_stream_behind_the_replay(gateway, name):
    sent = publish(gateway, name, "a", "b")
    events = whole_replay(gateway, f"/events?channel={name}&last=10")
    assert pairs(events)[:2] == list(zip(sent, "ab"))
    assert [e.event for e in events] == ["message", "message", "sluice.head"]


def test_live_0_without_history_is_400(gateway, name):
    answer = gateway.get(f"/events?channel=plain.{name}&live=0")
    assert answer.status == 400 and "history" in answer.error()


def test_ephemeral_channels_take_all_of_them_and_do_nothing(gateway, name):
    target = f"/events?channel=plain.{name}&since=60&lastEventId=x"
    stream = gateway.stream(target, {"Last-Event-ID": "1-1"})
    stream.subscribed()
    gateway.post(f"/publish/plain.{name}", "x")
    assert stream.next() == Event("message", "x", None)


# -- heads -----------------------------------------------------------------------------------------


def test_a_new_stream_is_told_where_it_begins_and_resumes_from_there(gateway, name):
    stream = gateway.stream(f"/events?channel={name}")
    head = stream.control("sluice.head")
    assert head.data == "{}" and ID.fullmatch(head.id)
    stream.close()
    sent = publish(gateway, name, "while away")
    assert pairs(replay(gateway, f"/events?channel={name}&lastEventId={head.id}")) == [
        (sent[0], "while away")]


def test_a_resumed_stream_is_told_behind_its_replay(gateway, name):
    a, b = publish(gateway, name, "a", "b")
    stream = gateway.stream(f"/events?channel={name}", {"Last-Event-ID": a})
    assert stream.message().id == b
    assert number(stream.control("sluice.head").id) >= number(b)


def test_heartbeats_of_an_idle_durable_stream_are_heads_that_advance(gateway, name):
    stream = gateway.stream(f"/events?channel={name}").subscribed()
    heads = [stream.control("sluice.head", 4) for _ in range(3)]
    ids = [number(h.id) for h in heads]
    assert ids == sorted(ids) and ids[-1] > ids[0]
    assert not any(getattr(i, "text", "") == "heartbeat" for i in stream.seen)
    sent = publish(gateway, name, "x")
    assert number(stream.message().id) > ids[-1]
    assert number(stream.control("sluice.head", 4).id) >= number(sent[0])


def test_with_heartbeat_event_there_is_a_ping_and_a_head(gateway, name):
    stream = gateway.stream(f"/events?channel={name}&heartbeat=event")
    stream.control("sluice.head")
    stream.control("sluice.ping", 4)
    stream.control("sluice.head")


def test_an_ephemeral_stream_has_no_head(gateway, name):
    stream = gateway.subscribe(f"plain.{name}")
    stream.comment("heartbeat", 4)
    assert not any(isinstance(i, Event) for i in stream.seen)


# -- gateways --------------------------------------------------------------------------------------


def test_another_gateway_resumes_what_one_that_was_killed_began(shared_redis, start_gateway, name):
    one, two = (start_gateway(shared_redis, namespaces=NAMESPACES) for _ in range(2))
    stream = one.subscribe(name)
    sent = publish(two, name, *map(str, range(10)))
    got = [stream.message() for _ in range(10)]
    one.child.kill()
    one.child.wait()
    with pytest.raises(Closed):
        stream.message()
    sent += publish(two, name, *map(str, range(10, 20)))
    stream = two.stream(f"/events?channel={name}", {"Last-Event-ID": got[-1].id})
    got += [stream.message() for _ in range(10)]
    assert [e.id for e in got] == sent
    one.stop = lambda: None  # it was killed


# -- crowds ----------------------------------------------------------------------------------------


@pytest.mark.deadline(90)
def test_a_storm_of_resuming_clients_reads_redis_a_handful_of_times(start_redis, start_gateway,
                                                                    start_crowd, name):
    redis = start_redis()
    writer = start_gateway(redis, namespaces=NAMESPACES)
    start = publish(writer, name, "start")[0]
    sent = publish(writer, name, *map(str, range(100)))
    gateway = start_gateway(redis, namespaces=NAMESPACES)
    redis.cli("CONFIG", "RESETSTAT")
    crowd = start_crowd(gateway.address, [f"/events?channel={name}&lastEventId={start}"] * 2000)
    crowd.wait_data(100, 60)
    for member in crowd:
        events = [i for i in member.items if isinstance(i, Event) and i.event == "message"]
        assert [e.id for e in events] == sent
    stats = redis.cli("INFO", "commandstats").decode()
    reads = [int(n) for n in re.findall(r"cmdstat_x(?:rev)?range:calls=(\d+)", stats)]
    assert 1 <= sum(reads) <= 10, stats
