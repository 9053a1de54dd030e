"""
A worker learnt the end of its lane by a relaxed load and read the frames before it: on a processor that
orders loads less strictly than x86 it could read what was not written yet. ThreadSanitizer tells.
"""

import pytest


@pytest.mark.threads
def test_frames_are_read_only_when_they_are_written(gateway, shared_redis, name):
    streams = [gateway.subscribe(name) for _ in range(16)]
    for burst in range(10):
        wanted = [f"{burst}.{number}" for number in range(2000)]
        shared_redis.pipeline([("PUBLISH", name, text) for text in wanted])
        for stream in streams:
            assert stream.data(2000, 20) == wanted
