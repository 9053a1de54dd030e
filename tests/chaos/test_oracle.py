"""The oracle finds each fault that a run may have, and none in a run without."""

import json
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from parts import oracle, world  # noqa: E402

LAST = "9-0"
SPOTLESS = ("lost", "repeated", "disordered", "doubled", "unknown", "unasked", "garbled", "refused", "gaps")
MESSAGES = [("1-0", "d.a.0"), ("2-0", "d.b.0"), ("3-0", "d.a.0"), ("4-0", "d.a.1"), ("5-0", "d.c.0")]


def published(directory, messages=MESSAGES):
    lines = [json.dumps({"serial": f"s{ident}", "event": None, "size": 0, "channel": channel, "id": ident,
                         "via": "http"}) for ident, channel in messages]
    Path(directory, "published").write_text("\n".join(lines) + "\n", encoding="ascii")


def event(ident, data=None, name=None):
    named = f"event: {name}\n" if name else ""
    return f"id: {ident}\n{named}data: {data or 's' + ident}\n\n"


def head(ident):
    return event(ident, "{}", "sluice.head")


def gap(ident, start, **topic):
    return event(ident, json.dumps({**topic, "reason": "trimmed", "from": start}), "sluice.gap")


def client(directory, *connections, since=None, wrapped=False):
    """A client of d.a.* and d.b.0; each connection is a list of what it was given."""
    out = b""

    def note(**what):
        return b"\x01" + json.dumps(what).encode() + b"\n"

    out += note(client=0, channels=["d.b.0"], patterns=["d.a.*"], wrapped=wrapped, since=since)
    for items in connections:
        out += note(t=0, gateway=0, status=200, cursor=None) + "".join(items).encode()
    Path(directory, "client-0").write_bytes(out)


@pytest.fixture
def judged(tmp_path):
    def judge(*connections, messages=MESSAGES, **options):
        published(tmp_path, messages)
        client(tmp_path, *connections, **options)
        counts = oracle.judge(tmp_path, world.us(LAST))
        return {key: counts.get(key, 0) for key in SPOTLESS if counts.get(key, 0)}
    return judge


ALL = [event("1-0"), event("2-0"), event("3-0"), event("4-0")]


def test_a_client_with_everything_once_and_in_order_is_spotless(judged):
    assert judged([head("0-1"), *ALL]) == {}
    assert judged([head("0-1"), *ALL[:2]], [*ALL[2:], head("5-0")]) == {}


def test_what_came_before_the_first_id_is_not_asked_for(judged):
    assert judged([head("2-0"), *ALL[2:]]) == {}


def test_a_missing_message_is_lost(judged):
    assert judged([head("0-1"), *ALL[:2], *ALL[3:]]) == {"lost": 1}
    assert judged([head("0-1"), *ALL[:3]]) == {"lost": 1}, "the last one, too"
    assert judged(ALL[1:], since="0-1") == {"lost": 1}, "and the first one of who asked for it"


def test_a_message_that_comes_twice_is_repeated_also_over_a_reconnect(judged):
    assert judged([head("0-1"), *ALL, ALL[3]]) == {"repeated": 1}
    assert judged([head("0-1"), *ALL], [ALL[3]]) == {"repeated": 1}


def test_a_message_behind_a_later_one_is_disordered(judged):
    assert judged([head("0-1"), ALL[0], ALL[2], ALL[1], ALL[3]]) == {"disordered": 1}


def test_a_message_behind_a_head_that_denied_it_is_disordered(judged):
    assert judged([head("0-1"), *ALL[:3], head("4-0"), ALL[3]]) == {"disordered": 1}


def test_a_gap_excuses_what_it_covers_and_nothing_else(judged):
    assert judged([head("0-1"), gap("3-0", "0-1", pattern="d.a.*"), ALL[3]]) == {"gaps": 1, "lost": 1}
    assert judged([head("0-1"), gap("3-0", None, pattern="d.a.*"),
                   gap("3-0", "1-0", channel="d.b.0"), ALL[3]]) == {"gaps": 2}
    assert judged([head("0-1"), gap("3-0", "1-0", pattern="d.a.*"), ALL[3]]) == {"gaps": 1, "lost": 2}


def test_a_gap_without_an_id_is_of_the_one_message_that_it_names(judged):
    late = 'event: sluice.gap\ndata: {"pattern":"d.a.*","reason":"redis","from":"3-0"}\n\n'
    assert judged([head("0-1"), *ALL[:2], ALL[3], late]) == {"gaps": 1}
    assert judged([head("0-1"), ALL[0], ALL[3], late]) == {"gaps": 1, "lost": 1}


def test_a_message_of_another_text_or_channel_or_id_is_told(judged):
    assert judged([head("0-1"), event("1-0", "other"), *ALL[1:]]) == {"garbled": 1}
    assert judged([head("0-1"), *ALL, event("5-0")]) == {"unasked": 1}
    assert judged([head("0-1"), *ALL, event("6-0")]) == {"unknown": 1}


def test_a_wrapped_message_says_its_channel_and_id(judged):
    def wrapped(ident, channel):
        return event(ident, json.dumps({"channel": channel, "event": None, "data": f"s{ident}", "id": ident}))
    messages = MESSAGES[:1]
    assert judged([head("0-1"), wrapped("1-0", "d.a.0")], messages=messages, wrapped=True) == {}
    assert judged([head("0-1"), wrapped("1-0", "d.a.9")], messages=messages, wrapped=True) == {"garbled": 1}


def test_one_id_for_two_messages_is_doubled(judged):
    assert judged([head("0-1"), ALL[0]], messages=[("1-0", "d.a.0"), ("1-0", "d.a.0")]).get("doubled") == 1


def test_a_stream_that_is_refused_is_told(judged, tmp_path):
    judged([head("0-1"), *ALL])
    with open(tmp_path / "client-0", "ab") as file:
        file.write(b'\x01{"refused": "HTTP/1.1 400 Bad Request"}\n')
    assert oracle.judge(tmp_path, world.us(LAST))["refused"] == 1
