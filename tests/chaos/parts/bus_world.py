"""
What all processes of a bus run agree on: the database and its rows, and the names of their copies.

The database is a file that all of them map: of each row its version, and its floor, the version that a
publisher was told (200 to wait=all) every peer has. A copy's text is "name version".
"""

import mmap
import os
import struct

PEERS = 20
WRITER_GROUPS = 12
ROWS_IN_GROUP = 12
GROUPS = PEERS + WRITER_GROUPS  # group n is written by peer n alone, or by one of the writers
ROWS = GROUPS * ROWS_IN_GROUP
LEASE_SECONDS = 15
COPY_SECONDS = 600  # longer than a fault: that a copy is gone must not be its age's merit


def peer_name(number):
    return f"app-{number}"


def group_of(row):
    return row // ROWS_IN_GROUP


def rows_of(group):
    return range(group * ROWS_IN_GROUP, (group + 1) * ROWS_IN_GROUP)


def name_of(row):
    return f"row:{group_of(row)}:{row}"


def row_of(name):
    return int(name.rsplit(":", 1)[1])


def tag_of(row):
    return f"group-{group_of(row)}"


def mark_of(row, version):
    """A key that is no copy: it tells a peer, with the invalidation, which version it must not go below."""
    return f"mark:{row}:{version}"


def marks_in(keys):
    """The versions by row that the marks among these keys tell."""
    parts = (key.split(":") for key in keys if key.startswith("mark:"))
    return {int(row): int(version) for _, row, version in parts}


def path_of(row):
    return f"/rows/{row}"


def shared_tags(row):
    """The tags under which the shared copy is found; that of a path is Next.js's."""
    return [tag_of(row), "_N_T_" + path_of(row)]


def text_of(row, version):
    return f"{name_of(row)} {version}"


def version_of(row, text):
    """What a copy of that row says, or None when it is no copy of it."""
    name, _, version = text.partition(" ")
    return int(version) if name == name_of(row) and version.isdigit() else None


class Column:
    def __init__(self, memory, first):
        self.cells = memory[first * 8:(first + ROWS) * 8].cast("q")

    def __getitem__(self, row):
        return self.cells[row]

    def __setitem__(self, row, value):
        self.cells[row] = value  # eight aligned bytes: nobody sees half of it


class Database:
    """Each row has one writer, so that reading and writing back is safe."""

    def __init__(self, directory):
        path = os.path.join(directory, "database")
        if not os.path.exists(path):
            with open(path, "wb") as file:
                file.write(struct.pack(f"{2 * ROWS}q", *[1] * ROWS, *[0] * ROWS))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)
        view = memoryview(self.memory)
        self.version, self.floor = Column(view, 0), Column(view, ROWS)

    def write(self, rows):
        """Gives each a new version; returns them."""
        versions = {row: self.version[row] + 1 for row in rows}
        for row, version in versions.items():
            self.version[row] = version
        return versions

    def raise_floor(self, versions):
        for row, version in versions.items():
            self.floor[row] = version
