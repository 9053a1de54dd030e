"""
A gateway that came back to Redis while its user had no rights to the functions gave durable channels up
until the next connection: rights were given back, publishes were accepted again, and open streams and
peers heard none of them, in silence.
"""

import pytest

from harness.peer import Peer, invalidate

RIGHTS = ["fcall", "evalsha", "script|load"]


@pytest.mark.deadline(60)
def test_when_rights_are_given_back_streams_and_peers_get_what_they_missed(redis, start_gateway):
    gateway = start_gateway(redis, namespaces=[{"match": "d.*", "history": {}}])
    stream = gateway.subscribe("d.a")
    peer = Peer(gateway, "app-1").begin()
    redis.cli("ACL", "SETUSER", "default", *("-" + right for right in RIGHTS))
    redis.cli("CLIENT", "KILL", "TYPE", "pubsub")
    gateway.wait_log("channels with history cannot be had", 20)
    redis.cli("ACL", "SETUSER", "default", *("+" + right for right in RIGHTS))
    ident = redis.cli("FCALL", "sluice_publish", "1", "sluice:", "d.a", "missed").decode()
    redis.cli("FCALL", "sluice_invalidate", "1", "sluice:", '{"keys":["missed"]}')
    message = stream.message(20)
    assert (message.id, message.data) == (ident, "missed")
    assert peer.next(10).json()["keys"] == ["missed"]
    assert gateway.post("/publish/d.a", "next").status == 200
    assert stream.message().data == "next"
    assert invalidate(gateway, keys=["next"]).status == 200
    assert peer.next(10).json()["keys"] == ["next"]
    assert len(gateway.lines("channels with history cannot be had")) == 1
