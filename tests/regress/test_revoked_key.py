"""
POST /publish/{channel} asked who it is from when its head was there and not again: a key that was
revoked or restricted while the body came still published. (POST /publish asked again.)
"""

import hashlib

import pytest

from harness import http


def key(name, *scopes):
    return {"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": list(scopes)}


def bearer(name):
    return [("Authorization", f"Bearer {name}")]


@pytest.mark.parametrize("settings, status", [
    pytest.param({"keys": [key("other", "publish:*")]}, 401, id="revoked"),
    pytest.param({"keys": [key("mine", "publish:b"), key("other", "publish:*")]}, 403, id="restricted"),
    pytest.param({"keys": [key("other", "publish:*"), key("mine", "publish:a")]}, 200, id="moved"),
    pytest.param({"limits": {"name_bytes": 5}}, 400, id="name too long"),
    pytest.param({"namespaces": [{"match": "*", "payload": "raw"}]}, 400, id="no event names"),
])
def test_a_publish_by_path_is_judged_anew_when_its_body_is_there(start_gateway, settings, status):
    gateway = start_gateway(open=False, keys=[key("mine", "publish:*"), key("other", "publish:*")],
                            namespaces=[{"match": "*", "payload": "envelope"}])
    channel = "a" if "keys" in settings else "a.long.name"
    request = http.request_bytes(gateway.address, "POST", f"/publish/{channel}?event=e", bearer("mine"),
                                 b"hello")
    with http.connect(gateway.address) as sock, sock.makefile("rb") as file:
        sock.sendall(request[:-1])
        assert http.request(gateway.address, "POST", "/publish/x", bearer("mine"), "").status == 200
        gateway.reload(**settings)
        for _ in range(20):  # connections go to either worker: both have taken the settings by then
            assert gateway.post("/publish/x", "", bearer("other")).status == 200
        sock.sendall(request[-1:])
        assert http.read_response(file).status == status
