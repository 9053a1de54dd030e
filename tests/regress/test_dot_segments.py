"""
nginx takes /publish/secret/../public/x for /publish/public/x when it decides whom it lets through and
to whom it gives a key, but sends on what it got, and to the gateway that was a channel that the pattern
secret/* matches.
"""

import pytest

DOTS = ["secret/../public/x", "secret/%2e%2e/public/x", "secret%2f..%2Fpublic%2Fx", "secret/./x",
        "../secret/x", "./x", "secret/..", "secret/.", "secret/a/%2E./../x"]


@pytest.mark.parametrize("path", DOTS)
def test_a_path_that_a_proxy_reads_differently_publishes_nothing(gateway, path):
    stream = gateway.subscribe("end", pattern="*secret*")
    answer = gateway.post("/publish/" + path, "smuggled")
    assert answer.status == 400
    assert "segment" in answer.error()
    assert gateway.post("/publish/end", "end").status == 200
    assert stream.message().data == "end"


@pytest.mark.parametrize("path", ["a..b/.c/d.", "...", "a/.../b", "..", ".", "a//b", "a/b/"])
def test_dots_that_no_proxy_takes_out_are_part_of_the_name(gateway, path):
    stream = gateway.subscribe(path)
    assert gateway.post("/publish/" + path, "x").status == 200
    assert stream.message().data == "x"


def test_a_channel_with_such_a_name_can_be_published_to_by_json(gateway):
    stream = gateway.subscribe("secret/../x")
    assert gateway.post("/publish", {"channel": "secret/../x", "data": "x"}).status == 200
    assert stream.message().data == "x"
