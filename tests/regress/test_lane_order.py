"""
A worker learnt the end of its lane by a relaxed load and read the frames before it: on a processor that
orders loads less strictly than x86 it could read what was not written yet. ThreadSanitizer tells.
"""

import pytest

from harness import http


@pytest.mark.threads
def test_frames_are_read_only_when_they_are_written(gateway, name):
    streams = [gateway.subscribe(name, pattern=name + "*") for _ in range(8)]
    with http.Connection(gateway.address) as connection:
        for number in range(200):  # its answer wakes the worker while the frame is being posted
            assert connection.request("POST", "/publish/" + name, body=b"%d" % number).status == 200
    for stream in streams:
        assert stream.data(200) == [str(number) for number in range(200)]
