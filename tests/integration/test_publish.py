"""Publishing by HTTP, in its three forms."""

import json

import pytest

from harness.sse import Event

pytestmark = pytest.mark.threads


def test_the_body_is_the_message(gateway):
    stream = gateway.subscribe("body")
    response = gateway.post("/publish/body", b"plain \xe2\x82\xac bytes")
    assert response.status == 200
    assert response.header("content-type").startswith("application/json")
    assert response.json() == {"receivers": 1}
    assert stream.data(1) == ["plain € bytes"]


def test_a_body_of_any_content_type_is_taken_as_it_is(gateway):
    stream = gateway.subscribe("typed")
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        assert gateway.post("/publish/typed", '{"a": 1}', {"Content-Type": kind}).status == 200
    assert stream.data(3) == ['{"a": 1}'] * 3


def test_an_empty_body_is_an_empty_message(gateway):
    stream = gateway.subscribe("empty")
    assert gateway.post("/publish/empty", b"").json() == {"receivers": 1}
    assert stream.message() == Event("message", "")


def test_nobody_listening_is_zero_receivers(gateway):
    assert gateway.post("/publish/deserted", "x").json() == {"receivers": 0}


def test_receivers_is_what_redis_says_a_gateway_counts_once(gateway, shared_redis, start_gateway):
    for _ in range(3):
        gateway.subscribe("counted")
    assert gateway.post("/publish/counted", "x").json() == {"receivers": 1}
    start_gateway(shared_redis).subscribe("counted")
    assert gateway.post("/publish/counted", "x").json() == {"receivers": 2}


def test_what_http_publishes_redis_clients_hear(gateway, shared_redis):
    from harness.resp import Resp
    client = Resp(shared_redis.socket)
    assert client.call("SUBSCRIBE", "plainredis")[2] == 1
    gateway.post("/publish/plainredis", "by http")
    assert client.read() == [b"message", b"plainredis", b"by http"]
    client.close()


def test_an_event_name_goes_into_the_envelope(gateway):
    stream = gateway.subscribe("env.named")
    assert gateway.post("/publish/env.named?event=order-paid", '{"id": 7}').status == 200
    got = stream.message()
    assert got.event == "order-paid" and got.data.replace(" ", "") == '{"id":7}'


def test_an_event_name_on_a_raw_channel_is_400(gateway):
    for response in (gateway.post("/publish/raw?event=e", "x"),
                     gateway.post("/publish", {"channel": "raw", "event": "e", "data": "x"})):
        assert response.status == 400
        assert "event" in response.error()


def test_an_event_name_with_a_line_end_is_400(gateway):
    for name in ("a%0Ab", "a%0Db", "a%00b"):
        assert gateway.post(f"/publish/env.x?event={name}", "x").status == 400
    assert gateway.post("/publish", {"channel": "env.x", "event": "a\nb", "data": 1}).status == 400


def test_json_with_one_channel_answers_an_object(gateway):
    stream = gateway.subscribe("json")
    response = gateway.post("/publish", {"channel": "json", "data": "text"})
    assert response.status == 200
    assert response.json() == {"receivers": 1}
    assert stream.data(1) == ["text"]


def test_json_with_several_channels_answers_an_array(gateway):
    stream = gateway.subscribe("multi.a", "multi.b", wrap="1")
    response = gateway.post("/publish", {"channel": ["multi.a", "multi.b", "multi.none"], "data": 5})
    assert response.status == 200
    assert response.json() == [{"channel": "multi.a", "receivers": 1},
                               {"channel": "multi.b", "receivers": 1},
                               {"channel": "multi.none", "receivers": 0}]
    got = [stream.message().json() for _ in range(2)]
    assert [(g["channel"], g["data"]) for g in got] == [("multi.a", "5"), ("multi.b", "5")]


def test_an_array_of_one_channel_still_answers_an_array(gateway):
    assert gateway.post("/publish", {"channel": ["lone"], "data": 1}).json() == [
        {"channel": "lone", "receivers": 0}]


def test_an_array_of_publications_goes_out_in_order(gateway):
    stream = gateway.subscribe("batch.a", "batch.b")
    items = [{"channel": f"batch.{'ab'[n % 2]}", "data": f"m{n}"} for n in range(50)]
    response = gateway.post("/publish", items)
    assert response.status == 200
    assert response.json() == [{"channel": i["channel"], "receivers": 1} for i in items]
    assert stream.data(50) == [f"m{n}" for n in range(50)]


def test_all_are_validated_before_any_is_published(gateway):
    stream = gateway.subscribe("whole")
    items = [{"channel": "whole", "data": "first"}, {"channel": "bad*", "data": "second"}]
    response = gateway.post("/publish", items)
    assert response.status == 400
    assert "[1]" in response.error()
    gateway.post("/publish/whole", "end")
    assert stream.data(1) == ["end"]


@pytest.mark.parametrize("data, wanted", [
    ("a string", "a string"), (12, "12"), (None, "null"), (True, "true"), ({"a": [1, {"b": "c"}]},
     '{"a":[1,{"b":"c"}]}'), ([], "[]"), ("", ""), ("two\nlines", "two\nlines"), ("ü😀", "ü😀"),
])
def test_a_string_is_published_as_it_is_and_other_json_compact(gateway, name, data, wanted):
    stream = gateway.subscribe(name)
    assert gateway.post("/publish", {"channel": name, "data": data}).status == 200
    assert stream.data(1) == [wanted]


@pytest.mark.parametrize("text", ["1.10", "1e400", "12345678901234567890", "0.30000000000000004"])
def test_numbers_keep_their_digits(gateway, name, text):
    stream = gateway.subscribe(name)
    gateway.post("/publish", f'{{"channel":"{name}","data":{{"n":{text}}}}}')
    assert stream.data(1) == [f'{{"n":{text}}}']


def test_json_is_parsed_whatever_the_content_type(gateway):
    body = json.dumps({"channel": "untyped", "data": "x"})
    for headers in ({}, {"Content-Type": "text/plain"},
                    {"Content-Type": "application/x-www-form-urlencoded"}):
        assert gateway.post("/publish", body, headers).json() == {"receivers": 0}


@pytest.mark.parametrize("body, names", [
    ("", "body"), ("not json", "JSON"), ("{", "JSON"), ('{"channel":"a","data":1} x', ""),
    ('"text"', ""), ("5", ""), ("null", ""), ("{}", "channel"),
    ('{"channel":"a"}', "data"), ('{"data":1}', "channel"), ('{"channel":5,"data":1}', "channel"),
    ('{"channel":[],"data":1}', "channel"), ('{"channel":["a",5],"data":1}', "channel"),
    ('{"channel":"a","data":1,"colour":"red"}', "colour"),
    ('{"channel":"a","event":5,"data":1}', "event"),
    ('[{"channel":"a","data":1},5]', "[1]"), ('{"channel":"a\\u0000b","data":1}', "channel"),
    ("[" * 10000, ""), ('{"channel":"a","data":' + "[" * 200 + "]" * 200 + "}", ""),
    ('{"channel":"\xff","data":1}', ""),
], ids=range(20))
def test_a_body_that_is_not_what_it_claims_is_400_and_says_where(gateway, body, names):
    response = gateway.post("/publish", body.encode("latin-1"))
    assert response.status == 400
    assert names in response.error()


def test_an_unknown_query_parameter_of_publish_is_not_taken_for_another(gateway):
    assert gateway.post("/publish/typo?evnt=e", "x").status in (200, 400)


def test_a_keep_alive_connection_publishes_many_times(gateway):
    from harness.http import Connection
    stream = gateway.subscribe("kept")
    with Connection(gateway.address) as connection:
        for n in range(200):
            assert connection.request("POST", "/publish/kept", body=str(n).encode()).status == 200
    assert stream.data(200) == [str(n) for n in range(200)]


def test_a_chunked_body_is_put_together(gateway):
    from harness import http
    stream = gateway.subscribe("chunked")
    head = http.request_bytes(gateway.address, "POST", "/publish/chunked",
                              {"Transfer-Encoding": "chunked"})
    response = http.raw(gateway.address, head + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
    assert response.status == 200
    assert stream.data(1) == ["abcde"]


def test_expect_100_continue_is_answered(gateway):
    """curl sends it with every body over a megabyte, and waits a second without an answer."""
    import subprocess
    stream = gateway.subscribe("expect")
    done = subprocess.run(["curl", "-s", "--max-time", "10", "-H", "Expect: 100-continue", "-d", "hi",
                           gateway.url + "/publish/expect"], capture_output=True, check=True)
    assert json.loads(done.stdout) == {"receivers": 1}
    assert stream.data(1) == ["hi"]
