"""The Redis functions of durable messages: what they store, tell and answer, in both forms."""

import subprocess

import pytest

from harness.functions import FORMS, Functions, Listener, library, text, us
from harness.gateway import binary
from harness.process import clean_env, until
from harness.redis import Redis, without_functions
from harness.resp import RedisError, Resp

LARGEST = 2 ** 53 - 1


@pytest.fixture(scope="module", params=FORMS)
def kept_functions(request, module_makers):
    return Functions(module_makers.add(Redis()), request.param)


@pytest.fixture
def functions(kept_functions):
    """The library in a Redis that is empty but for it, and shared by the tests of this file."""
    kept_functions.redis.cli("FLUSHALL")
    return kept_functions


@pytest.fixture
def listen(makers, functions):
    return lambda name: makers.add(Listener(functions.redis, name))


def server_time(redis):
    seconds, rest = redis.cli("TIME")
    return int(seconds) * 1000000 + int(rest)


def clock(redis, field):
    return redis.cli("HGET", "sluice:clock", field)


# Ids


def test_ids_rise_strictly_over_all_channels_and_are_the_time(functions):
    before = server_time(functions.redis)
    ids = [functions.publish(channel, "x") for channel in ["a", "b", "a", "c", "b", "a"] * 20]
    assert ids == sorted(set(ids))
    assert before <= ids[0] and ids[-1] <= server_time(functions.redis)


def test_publishes_in_one_transaction_have_ids_of_their_own_and_keep_their_order(functions, listen):
    notes = listen("sluice:note:*")
    words = [functions.words("sluice_publish", name, name) for name in ("a", "b", "a")]
    *_, ids = functions.redis.pipeline([("MULTI",), *words, ("EXEC",)])
    assert [us(i) for i in ids] == sorted({us(i) for i in ids})
    assert [notes.next()[1].split()[1] for _ in ids] == ids


def test_a_clock_that_was_ahead_goes_on_by_one(functions):
    ahead = functions.publish("a", "1") + 3600 * 1000000
    functions.redis.cli("HSET", "sluice:clock", "last", ahead)
    assert functions.publish("b", "2") == ahead + 1
    assert functions.publish("a", "3") == ahead + 2
    assert functions.read("a").ids[-1] == ahead + 2


def test_ids_end_where_doubles_are_no_longer_exact(functions):
    functions.publish("a", "1")
    functions.redis.cli("HSET", "sluice:clock", "last", LARGEST - 1)
    assert functions.publish("a", "2") == LARGEST
    assert functions.read("a", LARGEST - 1).ids == [LARGEST]
    assert functions.changed(LARGEST - 1) == (0, [("a", LARGEST)])
    with pytest.raises(RedisError, match="^ERR sluice: the clock has run out of ids$"):
        functions.publish("a", "3")
    assert functions.read("a").last == LARGEST


def test_each_database_has_a_clock_of_its_own(functions):
    functions.publish("a", "1")
    mine = functions.hello()
    functions.redis.cli("SELECT", 1)
    try:
        functions.publish("a", "1")
        assert functions.hello().epoch != mine.epoch
        assert functions.read("a").entries[0][1] == 0
    finally:
        functions.redis.cli("SELECT", 0)
    assert mine.again(functions, mine.clock).verdict == "same"


# What a publish stores


def test_the_log_holds_data_event_and_the_id_before(functions):
    first = functions.publish("a", b"\x00\xff\r\n", event="upd")
    second = functions.publish("a", "")
    assert functions.redis.cli("XRANGE", "sluice:log:a", "-", "+") == [
        [text(first), [b"d", b"\x00\xff\r\n", b"e", b"upd"]],
        [text(second), [b"d", b"", b"p", text(first)]]]
    assert functions.redis.cli("ZRANGE", "sluice:index", 0, -1, "WITHSCORES") == [
        b"a", b"%d" % second]


def test_a_history_is_1000_messages_and_an_hour_unless_told(functions):
    functions.publish("a", "0")
    assert 3590 <= functions.redis.cli("TTL", "sluice:log:a") <= 3600
    for _ in range(10):
        functions.redis.pipeline([functions.words("sluice_publish", "a", "x")] * 101)
    assert functions.redis.cli("XLEN", "sluice:log:a") == 1000


def test_a_log_is_cut_to_its_messages_exactly(functions):
    ids = [functions.publish("a", i, messages=7) for i in range(300)]
    assert functions.read("a").ids == ids[-7:]
    last = functions.publish("a", "x", messages=1)
    assert functions.read("a").ids == [last]


def test_a_log_is_cut_to_its_seconds(functions):
    old = functions.publish("a", "old", seconds=60)
    functions.redis.cli("HSET", "sluice:clock", "last", old + 61 * 1000000)
    young = functions.publish("a", "young", seconds=60)
    assert functions.read("a").ids == [young]
    kept = functions.publish("a", "kept", seconds=60)
    assert functions.read("a").ids == [young, kept]


def test_a_log_goes_by_itself_and_comes_back(functions):
    gone = functions.publish("a", "x", seconds=1)
    until(lambda: not functions.redis.cli("EXISTS", "sluice:log:a"), 5, "the log to expire")
    nothing = functions.read("a")
    assert (nothing.last, nothing.lost, nothing.entries) == (gone, gone, [])
    back = functions.publish("a", "y", seconds=60)
    assert functions.read("a").entries[0][0] == back
    assert functions.read("a", gone - 1).lost == gone
    assert functions.read("a", gone).lost == 0


def test_the_longest_history_is_remembered(functions):
    for seconds, longest in ((60, 60), (30, 60), (7200, 7200), (1, 7200)):
        functions.publish("a", "x", seconds=seconds)
        assert functions.hello().longest == longest


def test_the_index_forgets_what_is_older_than_the_longest_history_two_at_a_time(functions):
    ids = [functions.publish(f"old{i}", "x", seconds=60) for i in range(5)]
    functions.redis.cli("HSET", "sluice:clock", "last", ids[-1] + 61 * 1000000)
    for left in (4, 2, 1, 1):
        functions.publish("new", "x", seconds=60)
        assert functions.redis.cli("ZCARD", "sluice:index") == left
    pruned, changes = functions.changed()
    assert pruned == ids[-1] and [name for name, _ in changes] == ["new"]
    functions.redis.cli("DEL", "sluice:log:old1")  # as the real time would have done
    assert functions.read("old1").lost == ids[-1], "the index cannot say when old1 was last"
    assert functions.read("old1", ids[-1]).lost == 0


# Keys


def test_a_key_publishes_once_and_answers_the_first_id(functions, listen):
    notes = listen("sluice:note:*")
    first = functions.publish("a", "1", key="order 7")
    other = functions.publish("b", "1", key="order 7")
    assert functions.publish("a", "2", key="order 7") == first
    assert functions.publish("a", "3", key="order 8") > other > first
    assert functions.read("a").entries[0][3] == b"1" and len(functions.read("a").entries) == 2
    assert [notes.next()[0] for _ in range(3)] == [
        b"sluice:note:a", b"sluice:note:b", b"sluice:note:a"]


@pytest.mark.parametrize("seconds, window", [(1, 120), (120, 120), (3600, 3600), (900000, 86400)])
def test_a_key_is_kept_as_long_as_the_history_within_reason(functions, seconds, window):
    functions.publish("a", "1", key="k", seconds=seconds)
    assert window - 10 < functions.redis.cli("TTL", "sluice:key:a\nk") <= window


def test_a_key_is_kept_for_its_own_seconds_where_they_are_given(functions):
    functions.publish("a", "1", key="k", key_seconds=30)
    assert 20 < functions.redis.cli("TTL", "sluice:key:a\nk") <= 30


# Notices


def test_a_notice_says_epoch_id_previous_and_the_message(functions, listen):
    notes = listen("sluice:note:a")
    first = functions.publish("a", "line 1\nline 2", event="up date")
    epoch = clock(functions.redis, "epoch")
    assert notes.next() == (
        b"sluice:note:a", b"%s %s 0-0 7\nup dateline 1\nline 2" % (epoch, text(first)))
    functions.publish("b", "x")
    second = functions.publish("a", b"\x00\xff")
    assert notes.next() == (
        b"sluice:note:a", b"%s %s %s 0\n\x00\xff" % (epoch, text(second), text(first)))


@pytest.fixture
def mute(functions):
    """A connection whose user may do all but tell of a message."""
    functions.redis.cli("ACL", "SETUSER", "mute", "on", "nopass", "~*", "+@all", "resetchannels",
                        "&other")
    connection = Resp(functions.redis.socket)
    connection.call("AUTH", "mute", "")
    with pytest.raises(RedisError, match="^NOPERM"):
        connection.call("PUBLISH", "sluice:note:a", "x")
    yield lambda *words: us(connection.call(*functions.words("sluice_publish", *words)))
    connection.close()
    functions.redis.cli("ACL", "DELUSER", "mute")


def heard(notes, count):
    """Of so many notices: the channel, the id, the one before, and what is behind the head."""
    for _ in range(count):
        name, told = notes.next()
        head, rest = told.split(b"\n", 1)
        _, ident, previous, _ = head.split(b" ")
        yield name.decode().removeprefix("sluice:note:"), us(ident), us(previous), rest


def test_a_message_whose_notice_is_refused_is_stored_and_told_before_the_next_one(
        functions, listen, mute):
    notes = listen("sluice:note:*")
    before = functions.publish("b", "before")
    refused = [mute("a", "quiet", "event", "e"), mute("c", "too")]
    after = functions.publish("b", "after")
    last = functions.publish("a", "last")
    assert list(heard(notes, 5)) == [
        ("b", before, 0, b"before"), ("a", refused[0], 0, b"equiet"), ("c", refused[1], 0, b"too"),
        ("b", after, before, b"after"), ("a", last, refused[0], b"last")]
    assert functions.read("a").ids == [refused[0], last]
    assert clock(functions.redis, "unsaid") is None
    assert functions.redis.cli("LRANGE", "sluice:unsaid", 0, -1) == []


def test_a_beat_tells_what_could_not_be_told(functions, listen, mute):
    notes = listen("sluice:*")
    refused = [mute("a", str(n)) for n in range(3)]
    beat = functions.call("sluice_beat", "sluice:beat:x")
    told = list(heard(notes, 3))
    assert [(channel, ident) for channel, ident, *_ in told] == [("a", ident) for ident in refused]
    assert notes.next() == (b"sluice:beat:x", beat)


def test_what_waits_to_be_told_is_bounded_and_told_in_pieces(functions, listen, mute):
    notes = listen("sluice:note:*")
    refused = [mute("a", "x" * 30000) for _ in range(130)]
    behind = functions.publish("b", "waits behind them")
    while clock(functions.redis, "unsaid"):
        functions.call("sluice_beat", "sluice:beat:x")
    assert [ident for _, ident, *_ in heard(notes, 131)] == [*refused, behind]
    functions.redis.cli("RPUSH", "sluice:unsaid", *[f"1-{n} a" for n in range(10000)])
    mute("a", "one more than is kept")
    assert functions.redis.cli("LLEN", "sluice:unsaid") == 10000


def test_what_was_trimmed_before_it_could_be_told_is_passed_over(functions, listen, mute):
    notes = listen("sluice:note:*")
    mute("a", "gone", "messages", "1")
    kept = mute("a", "kept", "messages", "1")
    functions.call("sluice_beat", "sluice:beat:x")
    assert [ident for _, ident, *_ in heard(notes, 1)] == [kept]


def test_a_new_dataset_tells_nothing_of_the_old_one(functions, listen, mute):
    mute("a", "old")
    functions.redis.cli("DEL", "sluice:clock")
    notes = listen("sluice:note:*")
    fresh = functions.publish("a", "new")
    assert [ident for _, ident, *_ in heard(notes, 1)] == [fresh]
    assert functions.redis.cli("LRANGE", "sluice:unsaid", 0, -1) == []


def test_a_message_of_a_mebibyte_passes_whole(functions, listen):
    notes, data = listen("sluice:note:a"), bytes(range(256)) * 4096
    functions.publish("a", data)
    assert notes.next()[1].split(b"\n", 1)[1] == data
    assert functions.read("a").entries[0][3] == data


def permissions():
    """What the top of the library says that a caller needs."""
    said = library().decode().split("beside +fcall or +evalsha:")[1].split(".\n")[0]
    return said.split() + ["+fcall", "+evalsha"]


def test_a_caller_needs_just_the_permissions_that_the_library_names(functions, listen):
    notes = listen("sluice:note:*")
    allowed = permissions()
    if functions.redis.cli("INFO", "server").decode().split("redis_version:")[1].startswith("6."):
        allowed = [word.replace("+memory|usage", "+memory") for word in allowed if word != "+fcall"]
    functions.redis.cli("ACL", "SETUSER", "app", "on", "nopass", "resetchannels", "-@all", *allowed)
    app = Resp(functions.redis.socket)
    try:
        app.call("AUTH", "app", "")
        for words in (("sluice_publish", "a", "x", "key", "k", "event", "e"),
                      ("sluice_publish", "b", "x"), ("sluice_beat", "sluice:beat:x"),
                      ("sluice_hello", "", "", "0-0"), ("sluice_changed", "0-0", 10),
                      ("sluice_read", "a", "0-0", 10, 1000), ("sluice_back", "a", 1, 1000)):
            assert app.call(*functions.words(*words))
    finally:
        app.close()
        functions.redis.cli("ACL", "DELUSER", "app")
    assert [notes.next()[0] for _ in range(2)] == [b"sluice:note:a", b"sluice:note:b"]
    assert len(functions.redis.cli("LRANGE", "sluice:boots", 0, -1)) == (functions.form == "FCALL")


# What is refused


NAMES = "one of * ? [ ] { } \\"
REFUSED = [
    (["a"], "expected <channel> <data> [field value ...]"),
    ([], "expected <channel> <data> [field value ...]"),
    (["a", "x", "event"], "expected <channel> <data> [field value ...]"),
    (["", "x"], "the channel is empty"),
    (["c" * 201, "x"], "the channel is longer than 200 bytes"),
    (["c" * 31, "x", "name_bytes", "30"], "the channel is longer than 30 bytes"),
    (["a\x00b", "x"], "the channel has a control character"),
    (["a\nb", "x"], "the channel has a control character"),
    (["a\x7f", "x"], "the channel has a control character"),
    (["a\u0085", "x"], "the channel has a control character"),
    (["a*", "x"], "the channel has " + NAMES),
    (["a?", "x"], "the channel has " + NAMES),
    (["a[", "x"], "the channel has " + NAMES),
    (["a]", "x"], "the channel has " + NAMES),
    (["{a", "x"], "the channel has " + NAMES),
    (["a}", "x"], "the channel has " + NAMES),
    (["a\\", "x"], "the channel has " + NAMES),
    (["sluice:a", "x"], "the channel begins with a reserved prefix (sluice: sluice. __)"),
    (["sluice.a", "x"], "the channel begins with a reserved prefix (sluice: sluice. __)"),
    (["__a", "x"], "the channel begins with a reserved prefix (sluice: sluice. __)"),
    ([b"\xff", "x"], "the channel is not valid UTF-8"),
    ([b"a\xc3", "x"], "the channel is not valid UTF-8"),
    ([b"\xc0\xaf", "x"], "the channel is not valid UTF-8"),
    ([b"\xe0\x80\xaf", "x"], "the channel is not valid UTF-8"),
    ([b"\xed\xa0\x80", "x"], "the channel is not valid UTF-8"),
    ([b"\xf4\x90\x80\x80", "x"], "the channel is not valid UTF-8"),
    ([b"\xf5\x80\x80\x80", "x"], "the channel is not valid UTF-8"),
    (["a", "x", "event", "a\nb"], "event has a line end or a NUL"),
    (["a", "x", "event", "a\r"], "event has a line end or a NUL"),
    (["a", "x", "event", "\x00"], "event has a line end or a NUL"),
    (["a", "x", "event", "sluice.gap"],
     "event begins with sluice., as only the gateway's own events do"),
    (["a", "x", "event", "e" * 8193], "event is longer than 8192 bytes"),
    (["a", "x", "key", "k" * 1025], "key is longer than 1024 bytes"),
    (["a", "x", "event", "a", "event", "a"], "event is given twice"),
    (["a", "x", "colour", "red"],
     'unknown field "colour"; valid are event, key, key_seconds, messages, seconds and name_bytes'),
    (["a", "x", b"\xff\n", "red"],
     'unknown field "??"; valid are event, key, key_seconds, messages, seconds and name_bytes'),
    (["a", "x", "key_seconds", "86401"], "key_seconds must be a number from 1 to 86400"),
    (["a", "x", "name_bytes", "1101"], "name_bytes must be a number from 1 to 1100"),
]
REFUSED += [(["a", "x", "messages", number], "messages must be a number from 1 to 1000000")
            for number in ("", "0", "-1", "1.5", "1e3", "0x10", " 1", "1 ", "01", "1000001",
                           "18446744073709551617", "nan", "inf")]
REFUSED += [(["a", "x", "seconds", number], "seconds must be a number from 1 to 31536000")
            for number in ("0", "31536001", "3600s")]


@pytest.mark.parametrize("words, why", REFUSED, ids=lambda value: None)
def test_what_is_wrong_with_a_publish_is_said_and_nothing_is_stored(functions, words, why):
    with pytest.raises(RedisError) as refused:
        functions.call("sluice_publish", *words)
    assert str(refused.value) == "ERR sluice: " + why
    assert functions.redis.cli("DBSIZE") == 0


@pytest.mark.parametrize("name", ["c" * 200, "a b", "ä→😀", "sluice", "_a", "a:b.c/d", "\u00a0"])
def test_good_names_are_taken(functions, name):
    functions.publish(name, "x")
    assert functions.changed()[1][0][0] == name


def test_the_edges_of_the_numbers_are_taken(functions):
    functions.publish("a", "x", messages=1000000, seconds=31536000)
    functions.publish("c" * 1100, "x", messages=1, seconds=1, name_bytes=1100, key="k" * 1024,
                      event="e" * 8192)


BAD_IDS = ["", "0", "-", "1-", "-1", "01-0", "1-00", "1-1000", "a-b", "1-0 ", "+1-0", "*", "$",
           "9007199254740-992", "99999999999999-0", "18446744073709551-616", "1-0-0"]


@pytest.mark.parametrize("bad", BAD_IDS)
def test_what_is_no_id_is_refused(functions, bad):
    for words, what in ((("sluice_changed", bad, 10), "the id"),
                        (("sluice_read", "a", bad, 10, 10), "the id"),
                        (("sluice_hello", "", "", bad), "the highest id seen")):
        with pytest.raises(RedisError, match=f"^ERR sluice: {what} is no id$"):
            functions.call(*words)
    assert functions.redis.cli("DBSIZE") == 0


@pytest.mark.parametrize("words, why", [
    (("sluice_changed", "0-0"), "expected <after id> <limit>"),
    (("sluice_changed", "0-0", 0), "the limit must be a number from 1 to 100000"),
    (("sluice_changed", "0-0", 100001), "the limit must be a number from 1 to 100000"),
    (("sluice_read", "a", "0-0", 1), "expected <channel> <after id> <count> <bytes>"),
    (("sluice_read", "a", "0-0", 1001, 1), "the count must be a number from 1 to 1000"),
    (("sluice_read", "a", "0-0", 1, 0), "the bytes must be a number from 1 to 536870912"),
    (("sluice_read", "a*", "0-0", 1, 1), "the channel has " + NAMES),
    (("sluice_back", "a", 1), "expected <channel> <count> <bytes>"),
    (("sluice_back", "a", 1001, 1), "the count must be a number from 1 to 1000"),
    (("sluice_back", "a", 1, 0), "the bytes must be a number from 1 to 536870912"),
    (("sluice_back", "a*", 1, 1), "the channel has " + NAMES),
    (("sluice_hello", "", ""), "expected <epoch> <boot> <highest id seen>"),
    (("sluice_beat",), "expected <beat channel>"),
    (("sluice_beat", "orders"),
     "the beat channel must begin with sluice:beat: and have at most 200 bytes"),
    (("sluice_beat", "sluice:beat:" + "a" * 189),
     "the beat channel must begin with sluice:beat: and have at most 200 bytes"),
])
def test_what_is_wrong_with_a_question_is_said(functions, words, why):
    with pytest.raises(RedisError) as refused:
        functions.call(*words)
    assert str(refused.value) == "ERR sluice: " + why
    assert functions.redis.cli("DBSIZE") == 0


def test_the_prefix_is_asked_for(functions):
    words = list(functions.words("sluice_publish", "a", "x"))
    words[3] = "orders"
    with pytest.raises(RedisError, match=r"^ERR sluice: KEYS\[1\] must be the prefix"):
        functions.redis.cli(*words)
    words[2:4] = [0]
    with pytest.raises(RedisError, match=r"^ERR sluice: KEYS\[1\] must be the prefix"):
        functions.redis.cli(*words)


def test_a_key_of_another_kind_is_an_error_that_publishes_nothing(functions, listen):
    notes = listen("sluice:note:*")
    functions.redis.cli("SET", "sluice:log:a", "x")
    with pytest.raises(RedisError, match="^WRONGTYPE"):
        functions.publish("a", "1", key="k")
    functions.publish("b", "2")
    assert notes.next()[0] == b"sluice:note:b"
    assert functions.changed()[1][0][0] == "b" and not functions.redis.cli("EXISTS", "sluice:key:a\nk")


def test_a_full_redis_refuses_messages_and_still_beats(functions):
    first = functions.publish("a", "1")
    functions.redis.cli("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(RedisError, match="OOM"):
            functions.publish("a", "2")
        assert us(functions.beat().split()[1]) >= first
        assert functions.hello().clock >= first
        assert functions.read("a").ids == [first]
    finally:
        functions.redis.cli("CONFIG", "SET", "maxmemory", 0)
    assert functions.read("a").ids == [first]


# What gateways ask


def test_a_beat_tells_a_clock_between_the_ids_before_and_after(functions, listen):
    beats = listen("sluice:beat:f00")
    for _ in range(20):
        before = functions.publish("a", "x")
        told = functions.beat("sluice:beat:f00")
        assert beats.next() == (b"sluice:beat:f00", told)
        epoch, now, floor = told.split(b" ")
        assert epoch == clock(functions.redis, "epoch") and floor == b"0-0"
        assert before <= us(now) < functions.publish("a", "x")


def test_a_beat_of_a_clock_that_was_ahead_tells_its_last_id(functions):
    ahead = functions.publish("a", "1") + 3600 * 1000000
    functions.redis.cli("HSET", "sluice:clock", "last", ahead)
    assert us(functions.beat().split()[1]) == ahead
    assert functions.publish("a", "2") == ahead + 1


def test_a_beat_on_an_empty_redis_begins_an_epoch(functions):
    epoch, now, floor = functions.beat().split()
    assert len(epoch) == 16 and us(now) > 0 and floor == b"0-0"
    assert functions.publish("a", "x") > us(now)
    assert functions.hello().epoch == epoch


def test_changed_lists_channels_by_their_last_ids(functions):
    ids = {name: functions.publish(name, "x") for name in ("a", "b", "c")}
    ids["a"] = functions.publish("a", "y")
    want = [(name, ids[name]) for name in ("b", "c", "a")]
    assert functions.changed() == (0, want)
    assert functions.changed(limit=2) == (0, want[:2])
    assert functions.changed(ids["b"]) == (0, want[1:])
    assert functions.changed(ids["b"] - 1, 1) == (0, want[:1])
    assert functions.changed(ids["a"]) == (0, [])
    assert functions.changed(LARGEST) == (0, [])


def test_a_log_is_read_in_slices_without_hole_or_repeat(functions):
    ids = [functions.publish("a", f"m{i}", event=f"e{i}") for i in range(50)]
    at, seen, slices = 0, [], 0
    while True:
        part = functions.read("a", at, 7)
        assert part.last == ids[-1] and part.lost == 0
        seen += part.entries
        slices += 1
        if not part.more:
            break
        at = part.ids[-1]
    assert slices == 8
    assert seen == [(ids[i], ids[i - 1] if i else 0, b"e%d" % i, b"m%d" % i) for i in range(50)]
    assert functions.read("a", ids[-1]).entries == []


@pytest.mark.parametrize("count, more", [(49, 1), (50, 0), (51, 0)])
def test_more_is_said_just_when_there_are_more(functions, count, more):
    for i in range(50):
        functions.publish("a", i)
    part = functions.read("a", 0, count)
    assert (len(part.entries), part.more) == (min(count, 50), more)


def test_a_slice_has_no_more_bytes_than_asked_for_but_one_message_at_least(functions):
    ids = [functions.publish("a", "x" * 100000) for _ in range(10)]
    part = functions.read("a", 0, 1000, 350000)
    assert part.ids == ids[:3] and part.more == 1
    part = functions.read("a", ids[8], 1000, 1)
    assert part.ids == ids[9:] and part.more == 0


def test_small_messages_behind_a_large_one_are_all_reached(functions):
    ids = [functions.publish("a", "x" * (1 << 20))] + [functions.publish("a", "x") for _ in range(99)]
    at, seen = 0, []
    for _ in range(200):
        part = functions.read("a", at, 1000, 65536)
        seen += part.ids
        at = part.ids[-1]
        if not part.more:
            break
    assert seen == ids


def test_a_slice_of_a_thousand_takes_one_xrange(functions):
    for _ in range(10):
        functions.redis.pipeline([functions.words("sluice_publish", "a", "x" * 100)] * 100)
    functions.redis.cli("CONFIG", "RESETSTAT")
    assert len(functions.read("a", 0, 1000, 1 << 20).entries) == 1000
    assert b"cmdstat_xrange:calls=1," in functions.redis.cli("INFO", "commandstats")


def test_where_the_last_messages_begin_is_told_by_their_number_or_their_bytes(functions):
    def back(count, size=1 << 24):
        return us(functions.call("sluice_back", "a", count, size))
    assert back(5) == 0
    ids = [functions.publish("a", "x" * (1000 if i % 10 else 100000), messages=10000) for i in range(300)]
    assert functions.read("a", back(1)).ids == ids[-1:]
    assert functions.read("a", back(299), size=1 << 24).ids == ids[1:]
    assert functions.read("a", back(300), size=1 << 24).ids == ids
    assert back(301) == 0
    assert functions.read("a", back(1000, 1)).ids == ids[-1:]
    last = functions.read("a", back(1000, 500000))  # 4 large ones and a part of the way to the fifth
    assert last.ids == ids[-len(last.ids):] and 40 < len(last.ids) <= 60


def test_where_the_last_messages_begin_is_found_without_reading_all(functions):
    for _ in range(20):
        functions.redis.pipeline([functions.words("sluice_publish", "a", "x", "messages", 10000)] * 100)
    functions.redis.cli("CONFIG", "RESETSTAT")
    assert functions.read("a", us(functions.call("sluice_back", "a", 7, 1 << 20))).more == 0
    assert b"cmdstat_xrevrange:calls=1," in functions.redis.cli("INFO", "commandstats")


def test_what_was_trimmed_behind_a_cursor_is_told_as_lost(functions):
    ids = [functions.publish("a", i, messages=3) for i in range(5)]
    assert functions.read("a", 0).lost == ids[1]
    assert functions.read("a", ids[0]).lost == ids[1]
    assert functions.read("a", ids[1]).lost == 0
    assert functions.read("a", ids[2]).lost == 0
    assert functions.read("a", ids[4]).lost == 0


def test_a_trim_in_the_middle_of_a_replay_is_told_at_the_next_slice(functions):
    ids = [functions.publish("a", i, messages=10) for i in range(10)]
    part = functions.read("a", 0, 4)
    assert part.lost == 0
    ids += [functions.publish("a", i, messages=10) for i in range(6)]
    rest = functions.read("a", part.ids[-1], 100)
    assert rest.lost == ids[5] and rest.ids == ids[6:]


def test_a_channel_that_never_was_has_lost_nothing(functions):
    functions.publish("a", "x")
    part = functions.read("b")
    assert (part.last, part.lost, part.more, part.entries) == (0, 0, 0, [])


def test_reading_asks_for_no_right_to_write(start_redis):
    primary, replica = start_redis(repl_diskless_sync_delay=0), start_redis()
    functions = Functions(primary, "FCALL")
    sent = functions.publish("a", "x")
    replica.cli("REPLICAOF", "127.0.0.1", primary.port)
    until(lambda: replica.cli("EXISTS", "sluice:log:a"), 10, "the copy")
    mirror = Functions.__new__(Functions)
    mirror.redis, mirror.form = replica, "FCALL"
    assert mirror.read("a").ids == [sent] and mirror.changed() == (0, [("a", sent)])
    assert replica.cli("FCALL_RO", "sluice_version", 1, "sluice:") == 6
    with pytest.raises(RedisError, match="^READONLY"):
        mirror.publish("a", "y")
    with pytest.raises(RedisError, match="^READONLY"):
        mirror.hello()


# The program


def test_the_program_says_which_version_it_loads(functions):
    assert functions.call("sluice_version") == 6


def test_the_script_is_the_library_without_its_first_line():
    assert library().split(b"\n", 1) == [b"#!lua name=sluice", library("--script")]


def run(*words):
    return subprocess.run([binary(), *words], env=clean_env(), capture_output=True, timeout=10,
                          check=False)


def test_words_that_the_command_does_not_know_are_an_error():
    for words, unknown in ((["--json"], "--json"), (["--script", "now"], "now"),
                           (["--script", "--status"], "--status"), (["--redis"], "--redis"),
                           (["--redis", "redis://127.0.0.1"], "--redis")):
        done = run("functions", *words)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.decode() == (
            f'sluice functions: unexpected argument "{unknown}"; valid are --script, --status and --redis URL\n')
    done = run("functions", "--help")
    assert done.returncode == 0 and done.stdout.startswith(b"Usage: sluice functions [--script | --status [--redis URL]]\n")


def test_the_program_says_what_redis_has_loaded(start_redis):
    redis = start_redis()
    done = run("functions", "--status", "--redis", redis.url)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"the function library is not loaded\n"
    for version, status in ((b"6", 0), (b"7", 0), (b"2", 1)):
        text = library().replace(b"local VERSION = 6", b"local VERSION = " + version)
        redis.cli("FUNCTION", "LOAD", "REPLACE", text)
        done = run("functions", "--redis", redis.url, "--status")
        assert done.returncode == status
        assert (done.stderr if status else done.stdout) == (
            b"version %s of the function library is loaded; this program has 6\n" % version)


def test_a_redis_before_functions_is_said_to_be_one(start_redis, tmp_path):
    redis = start_redis(include=without_functions(tmp_path))
    done = run("functions", "--status", "--redis", redis.url)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == (b"this Redis has no functions (they came with 7.0): "
                           b"gateways run the script instead\n")


def test_a_redis_that_cannot_be_asked_for_its_functions_is_said_without_the_password(start_redis):
    redis = start_redis(requirepass="not-this-one")
    done = run("functions", "--status", "--redis", f"redis://:secret-one@127.0.0.1:{redis.port}")
    assert done.returncode == 1 and done.stderr.startswith(b"WRONGPASS ")
    for url, why in (("http://127.0.0.1", b"the URL "), ("redis://127.0.0.1:1", b"cannot connect")):
        done = run("functions", "--status", "--redis", url)
        assert done.returncode == 1 and done.stderr.startswith(why) and done.stdout == b""


def test_what_cannot_be_written_is_an_error():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([binary(), "functions"], env=clean_env(), stdout=full, timeout=10,
                              check=False)
    assert done.returncode == 1


def test_a_script_is_told_what_it_may_run(functions):
    if functions.form == "EVALSHA":
        with pytest.raises(RedisError, match="^ERR sluice: the first argument must name a function"):
            functions.call("sluice_fly", "a", "x")


# Epochs and rewinds


def test_a_first_hello_is_new_and_the_next_the_same(functions):
    first = functions.hello()
    assert first.verdict == "new" and len(first.epoch) == 16 and first.boot
    assert first.born <= first.clock and first.floor == 0 and first.windows == []
    seen = functions.publish("a", "x")
    second = first.again(functions, seen)
    assert (second.verdict, second.epoch, second.boot, second.floor) == (
        "same", first.epoch, first.boot, 0)
    assert seen <= second.clock < functions.publish("a", "x")
    assert functions.hello(b"0123456789abcdef", first.boot, seen).verdict == "new"


def test_flushall_makes_another_epoch_whose_ids_go_on(functions):
    functions.publish("a", "x")
    before = functions.hello()
    functions.redis.cli("FLUSHALL")
    after = before.again(functions, before.clock)
    assert after.verdict == "new" and after.epoch != before.epoch
    assert after.clock >= after.born > before.clock


def test_a_lost_clock_makes_another_epoch_above_all_that_the_index_knows(functions):
    ahead = functions.publish("a", "1") + 3600 * 1000000
    functions.redis.cli("HSET", "sluice:clock", "last", ahead)
    sent, before = functions.publish("a", "2"), functions.hello()
    functions.redis.cli("DEL", "sluice:clock")
    assert functions.publish("a", "3") > sent
    after = before.again(functions, sent)
    assert after.verdict == "new" and after.born > sent


def test_more_seen_than_the_clock_has_given_is_a_rewind(functions):
    sent, before = functions.publish("a", "x"), functions.hello()
    seen = sent + 3600 * 1000000
    after = before.again(functions, seen)
    assert after.verdict == "rewound" and after.floor == after.clock > seen
    assert functions.publish("a", "y") > after.floor
    assert us(functions.beat().split()[2]) == after.floor, "every gateway hears of it"
    assert after.again(functions, after.clock).verdict == "same"


def test_a_highest_id_that_cannot_be_does_not_move_the_clock(functions):
    sent, before = functions.publish("a", "x"), functions.hello()
    after = before.again(functions, LARGEST)
    assert (after.verdict, after.floor) == ("new", 0)
    assert sent < functions.publish("a", "y") <= server_time(functions.redis)


def test_an_emptied_redis_forgets_a_clock_that_was_badly_wrong(functions):
    functions.publish("a", "x")
    functions.redis.cli("HSET", "sluice:clock", "last", LARGEST - 10)
    functions.publish("a", "x")
    functions.redis.cli("FLUSHALL")
    assert functions.publish("a", "x") <= server_time(functions.redis)


def aof(start_redis):
    return start_redis(appendonly="yes", appendfsync="always")


def test_a_restart_with_everything_gaps_nobody(start_redis):
    functions = Functions(aof(start_redis), "FCALL")
    sent, before = functions.publish("a", "x"), functions.hello()
    functions.redis.restart()
    after = before.again(functions, before.clock)
    assert (after.verdict, after.floor, after.epoch) == ("same", 0, before.epoch)
    assert after.boot != before.boot and functions.read("a").ids == [sent]
    functions.redis.restart()
    functions.publish("a", "y")
    assert before.again(functions, before.clock).verdict == "same"


def test_scripts_take_every_restart_for_a_rewind_and_say_so_to_each_gateway(start_redis):
    functions = Functions(aof(start_redis), "EVALSHA")
    functions.publish("a", "x")
    before = functions.hello()
    functions.redis.restart()
    functions.load()
    functions.publish("a", "y")
    first = before.again(functions, before.clock)
    assert first.verdict == "rewound" and first.floor == first.clock > before.clock
    second = before.again(functions, before.clock)
    assert (second.verdict, second.floor) == ("rewound", first.floor), "told to all, raised once"
    assert second.again(functions, second.clock).verdict == "same"


def test_a_restart_with_nothing_is_another_epoch(start_redis):
    functions = Functions(start_redis(), "EVALSHA")
    functions.publish("a", "x")
    before = functions.hello()
    functions.redis.restart()
    functions.load()
    assert before.again(functions, before.clock).verdict == "new"


@pytest.fixture
def snapshot(start_redis):
    """A Redis that lost what came after a snapshot: (functions, hello before, last id of it, lost id)."""
    functions = Functions(start_redis(), "FCALL")
    functions.publish("a", "kept")
    before = functions.hello()
    functions.redis.cli("SAVE")
    lost = [functions.publish("a", "lost") for _ in range(3)]
    functions.redis.restart()
    return functions, before, before.clock, lost[-1]


def test_an_older_snapshot_is_recognised(snapshot):
    functions, before, _, seen = snapshot
    after = before.again(functions, seen)
    assert (after.verdict, after.epoch) == ("rewound", before.epoch)
    assert after.floor == after.clock > seen
    assert functions.publish("a", "x") > after.floor


def test_an_older_snapshot_is_recognised_behind_later_publishes(snapshot):
    functions, before, kept, seen = snapshot
    later = functions.publish("a", "later")
    assert later > seen, "the clock alone would not show it"
    functions.beat()
    first = before.again(functions, seen)
    assert first.verdict == "rewound" and first.floor > later
    second = before.again(functions, seen)
    assert (second.verdict, second.floor) == ("rewound", first.floor)
    assert before.again(functions, kept).verdict == "same", "it saw nothing of what is lost"


def test_a_cursor_of_a_lost_time_lies_in_a_window(snapshot):
    functions, _, kept, seen = snapshot
    later = functions.publish("a", "later")
    windows = functions.hello().windows
    assert [before < seen < first for before, first in windows].count(True) == 1
    assert windows[0] == (kept, later)
    assert functions.hello(*[functions.hello().epoch, b"", later + 10 ** 9]).windows == [], (
        "the floor says it")


def test_a_rewind_that_scripts_have_hidden_is_recognised(snapshot):
    functions, before, _, seen = snapshot
    assert Functions(functions.redis, "EVALSHA").publish("a", "by script") > seen
    assert before.again(functions, seen).verdict == "rewound"


def test_scripts_beside_functions_are_no_rewind(start_redis):
    functions = Functions(start_redis(), "FCALL")
    scripts = Functions(functions.redis, "EVALSHA")
    before = functions.hello()
    for _ in range(3):
        scripts.publish("a", "x")
        seen = functions.publish("b", "x")
        assert before.again(functions, seen).verdict == "same"
    seen = scripts.publish("a", "x")
    assert before.again(functions, seen).verdict == "same"


def test_a_library_that_is_loaded_again_gaps_nobody(start_redis):
    functions = Functions(start_redis(), "FCALL")
    seen, before = functions.publish("a", "x"), functions.hello()
    functions.load()
    functions.publish("a", "y")
    after = before.again(functions, max(seen, before.clock))
    assert after.verdict == "same" and after.boot != before.boot


def test_an_older_dataset_under_a_running_library_raises_the_floor(start_redis):
    functions = Functions(start_redis(), "FCALL")
    functions.publish("a", "x")
    before = functions.hello()
    old = functions.redis.cli("DUMP", "sluice:clock")
    seen = functions.publish("a", "y") + 10 ** 9
    functions.redis.cli("HSET", "sluice:clock", "last", seen)
    seen = functions.publish("a", "z")
    functions.redis.cli("RESTORE", "sluice:clock", 0, old, "REPLACE")
    after = functions.publish("b", "later")
    assert after > seen
    assert us(functions.beat().split()[2]) == after
    assert before.again(functions, seen).verdict == "rewound"


def replicate(replica, primary):
    replica.cli("REPLICAOF", "127.0.0.1", primary.port)
    until(lambda: b"master_link_status:up" in replica.cli("INFO", "replication"), 10, "the link")


def caught_up(primary):
    assert primary.cli("WAIT", 1, 5000) == 1


def on(redis):
    functions = Functions.__new__(Functions)
    functions.redis, functions.form = redis, "FCALL"
    return functions


@pytest.mark.parametrize("publish_first", [False, True])
def test_a_failover_and_back_loses_nothing_or_is_recognised(start_redis, publish_first):
    one, two = (start_redis(repl_diskless_sync_delay=0) for _ in range(2))
    functions = Functions(one, "FCALL")
    functions.publish("a", "1")
    first = functions.hello()
    replicate(two, one)
    caught_up(one)

    two.cli("REPLICAOF", "NO", "ONE")
    second = first.again(on(two), first.clock)
    assert second.verdict == "same" and second.boot != first.boot
    replicate(one, two)
    on(two).publish("a", "2")
    caught_up(two)

    one.cli("REPLICAOF", "NO", "ONE")
    lost = on(two).publish("a", "3")  # what the one that is primary again never got
    if publish_first:
        assert on(one).publish("a", "4") > lost
    third = second.again(on(one), lost)
    assert third.verdict == "rewound" and third.floor > lost
    assert third.boot not in (first.boot, second.boot)
    assert third.again(on(one), third.clock).verdict == "same"


def test_the_list_of_reigns_is_short(start_redis):
    functions = Functions(start_redis(), "FCALL")
    for _ in range(70):
        functions.load()
        functions.beat()
    assert functions.redis.cli("LLEN", "sluice:boots") == 64
    before = functions.hello()
    for _ in range(66):
        functions.load()
        functions.beat()
    assert before.again(functions, before.clock).verdict == "same", "all that are listed came later"
