"""The layer check finds what it is for."""

import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CMAKE = """
sluice_room(base)
sluice_room(proto MAY_INCLUDE base LIBRARIES x)
sluice_room(broker MAY_INCLUDE base proto LIBRARIES x)
sluice_room(hub MAY_INCLUDE base proto broker/broker.h)
sluice_room(access MAY_INCLUDE base)
sluice_room(http MAY_INCLUDE base proto hub
            LIBRARIES broker)
"""


def layers(root, path, include):
    (root / "CMakeLists.txt").write_text(CMAKE, encoding="utf-8")
    file = root / "src" / path
    file.parent.mkdir(parents=True)
    file.write_text(f"/* x */\n#include {include}\n", encoding="utf-8")
    return subprocess.run([HERE / "layers", root], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path, include", [
    ("hub/a.c", "<nghttp2/nghttp2.h>"), ("main.c", "<nghttp2/nghttp2.h>"),
    ("broker/memory.c", "<hiredis/hiredis.h>"), ("http/a.c", "<hiredis/async.h>"),
    ("hub/a.c", "<ev.h>"), ("hub/a.h", "<sys/socket.h>"), ("hub/a.c", "<netinet/tcp.h>"),
    ("hub/a.c", "<time.h>"), ("proto/a.c", "<time.h>"), ("proto/a.c", '"base/clock.h"'),
    ("access/a.c", "<sys/time.h>"), ("access/a.c", "<poll.h>"), ("hub/a.c", "<curl/curl.h>"),
    ("hub/a.c", '"broker/broker_redis.h"'), ("http/a.c", '"broker/broker.h"'),
    ("base/a.c", '"proto/sse.h"'), ("hub/a.c", '"a.h"'), ("base/a.c", "<cmocka.h>"),
    ("attic/a.c", "<stdio.h>"),
])
def test_an_include_out_of_its_room_is_a_fault_with_its_place(tmp_path, path, include):
    done = layers(tmp_path, path, include)
    assert done.returncode == 1
    assert f"src/{path}:" in done.stdout


@pytest.mark.parametrize("path, include", [
    ("http/a.c", "<nghttp2/nghttp2.h>"), ("broker/broker_redis/a.c", "<hiredis/async.h>"),
    ("broker/a.c", "<ev.h>"), ("hub/a.c", '"broker/broker.h"'), ("hub/a.c", '"base/clock.h"'),
    ("http/a.c", "<sys/socket.h>"), ("proto/a.c", "<arpa/inet.h>"), ("base/clock.c", "<time.h>"), ("main.c", '"http/a.h"'),
])
def test_an_include_within_its_room_is_none(tmp_path, path, include):
    done = layers(tmp_path, path, include)
    assert (done.returncode, done.stdout) == (0, "layers: every include is in its room\n")
