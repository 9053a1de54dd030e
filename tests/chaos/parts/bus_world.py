"""
What all processes of a bus run agree on: the database and its rows, and the names of their copies.

The database is a file that all of them map: of each row its version, and its floor, the version that a
publisher was told (200 to wait=all) every peer has; how many invalidations each caller has made; and how
often Redis has lost everything. A copy's text is "name version".

Live rows are no rows of the database but keys of Redis itself, below a prefix that the gateways track: who
writes them knows nothing of the bus. Of them the database has but the version.
"""

import contextlib
import mmap
import os
import struct
import time

PEERS = 20
WRITER_GROUPS = 12
ROWS_IN_GROUP = 12
HOOK_GROUPS, LARGE_GROUPS = 4, 2
FIRST_HOOK = PEERS + WRITER_GROUPS
FIRST_LARGE = FIRST_HOOK + HOOK_GROUPS
TORN_GROUP = FIRST_LARGE + LARGE_GROUPS
GROUPS = TORN_GROUP + 1  # group n is written by peer n alone, or by one of the writers
ROWS = GROUPS * ROWS_IN_GROUP
LIVE_PREFIX = "live:"
LIVE = range(ROWS, ROWS + 96)
FENCE = LIVE.stop  # no row, but its marks say how far the feed has come with live rows
CALLERS = 32  # peer n, and from PEERS on those who are none
LARGE_MEMBERS = 5000  # a tag with more is deleted in slices, and announced at their end
SLICE_NAMES = 3000  # a call with more is made in slices
LEASE_SECONDS = 15
COPY_SECONDS = 600  # longer than a fault: that a copy is gone must not be its age's merit


def peer_name(number):
    return f"app-{number}"


def group_of(row):
    return row // ROWS_IN_GROUP


def rows_of(group):
    return range(group * ROWS_IN_GROUP, (group + 1) * ROWS_IN_GROUP)


def name_of(row):
    return f"{LIVE_PREFIX}{row}" if row in LIVE else f"row:{group_of(row)}:{row}"


def row_of(name):
    return int(name.rsplit(":", 1)[1])


def tag_of(row):
    return f"group-{group_of(row)}"


def mark_of(row, version):
    """A key that is no copy: it tells a peer, with the invalidation, which version it must not go below."""
    return f"{LIVE_PREFIX if row >= ROWS else ''}mark:{row}:{version}"


def marks_in(keys):
    """The versions by row that the marks among these keys tell."""
    parts = (key.rsplit(":", 2) for key in keys if key.startswith(("mark:", f"{LIVE_PREFIX}mark:")))
    return {int(row): int(version) for _, row, version in parts}


def path_of(row):
    return f"/rows/{row}"


def shared_tags(row):
    """The tags under which the shared copy is found; that of a path is Next.js's."""
    return [tag_of(row), "_N_T_" + path_of(row)]


def text_of(row, version):
    return f"{name_of(row)} {version}"


def gone_text(row):
    """A copy that says that there is no such live row."""
    return f"{name_of(row)} gone"


def live_text(row, value):
    """The copy that is made of what Redis has of a live row."""
    return gone_text(row) if value is None else value.decode()


def version_of(row, text):
    """What a copy of that row says, or None when it is no copy of it."""
    name, _, version = text.partition(" ")
    return int(version) if name == name_of(row) and version.isdigit() else None


class Column:
    def __init__(self, memory, first, count):
        self.cells = memory[first * 8:(first + count) * 8].cast("q")

    def __getitem__(self, row):
        return self.cells[row]

    def __setitem__(self, row, value):
        self.cells[row] = value  # eight aligned bytes: nobody sees half of it


class Database:
    """Each row, and each other cell, has one writer, so that reading and writing back is safe."""

    def __init__(self, directory):
        path, rows = os.path.join(directory, "database"), FENCE + 1
        if not os.path.exists(path):
            with open(path, "wb") as file:
                file.write(struct.pack(f"{2 * rows + CALLERS + 2}q", *[1] * rows, *[0] * (rows + CALLERS + 2)))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)
        view = memoryview(self.memory)
        self.version, self.floor = Column(view, 0, rows), Column(view, rows, rows)
        self.made, self.losses = Column(view, 2 * rows, CALLERS), Column(view, 2 * rows + CALLERS, 2)

    def accepted(self):
        return sum(self.made[caller] for caller in range(CALLERS))

    @contextlib.contextmanager
    def losing(self):
        """While Redis loses everything: the answers of before and of afterwards may differ."""
        self.losses[0] += 1
        yield
        self.losses[1] = int(time.monotonic() * 1e6)
        self.losses[0] += 1

    def lost_at(self):
        """When Redis last lost everything, monotonic; now, while it does. 0: never."""
        return time.monotonic() if self.losses[0] % 2 else self.losses[1] / 1e6

    def era(self):
        """Two moments of one era had the same Redis; None while it is being lost."""
        return None if self.losses[0] % 2 else self.losses[0]

    def write(self, rows):
        """Gives each a new version; returns them."""
        versions = {row: self.version[row] + 1 for row in rows}
        for row, version in versions.items():
            self.version[row] = version
        return versions

    def raise_floor(self, versions):
        for row, version in versions.items():
            self.floor[row] = version
