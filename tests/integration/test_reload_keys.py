"""Keys that change on SIGHUP while a request is under way."""

import hashlib
import json
import os
import signal

import pytest

from harness import http


def key(name, *scopes):
    return {"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": list(scopes)}


def bearer(name):
    return [("Authorization", f"Bearer {name}")]


@pytest.mark.threads
@pytest.mark.parametrize("after, status", [
    pytest.param([key("other", "publish:*")], 401, id="revoked"),
    pytest.param([key("mine", "publish:*")], 200, id="moved"),
    pytest.param([key("x", "publish:*"), key("y", "publish:*"), key("mine", "stats")], 403,
                 id="restricted"),
])
def test_a_key_is_judged_by_the_table_that_is_in_force_when_the_body_is_there(
        start_gateway, after, status):
    before = [key(f"k{n}", "publish:*") for n in range(50)] + [key("mine", "publish:*")]
    gateway = start_gateway(open=False, keys=before)
    body = json.dumps([{"channel": "a", "data": "x"}]).encode()
    request = http.request_bytes(gateway.address, "POST", "/publish", bearer("mine"), body)
    with http.connect(gateway.address) as sock, sock.makefile("rb") as file:
        sock.sendall(request[:-5])
        gateway.config["keys"] = after
        with open(os.path.join(gateway.dir, "sluice.json"), "w", encoding="utf-8") as out:
            json.dump(gateway.config, out)
        gateway.child.send_signal(signal.SIGHUP)
        gateway.wait_log("reloaded")
        for _ in range(20):  # connections go to either worker: both have taken the keys by then
            gateway.post("/publish/a", "x", bearer(after[0]["name"]))
        sock.sendall(request[-5:])
        assert http.read_response(file).status == status
