"""One swarm process, which has the streams of one target."""

import json
import select
import subprocess

from harness.process import spawn

from .targets import BUILD, CHANNELS, CLIENT_CORE


class Wrong(Exception):
    """The deliveries were not what they must be, or did not come in time."""


class Swarm:
    def __init__(self, target):
        argv = [*CLIENT_CORE.prefix, str(BUILD / "swarm"), target.dialect, str(target.port), str(target.pid),
                str(target.publish_port), CHANNELS, target.wire]
        self.target = target
        self.last = {"total_deliveries": 0, "streams": 0}
        self.child = spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def order(self, command, seconds=60, **words):
        """One command; its answer. Raises Wrong when anything was lost, repeated, corrupt or late."""
        line = " ".join([command, *(f"{k}={v}" for k, v in words.items()), f"seconds={seconds}"])
        self.child.stdin.write(line.encode() + b"\n")
        self.child.stdin.flush()
        if not select.select([self.child.stdout], [], [], seconds + 30)[0]:
            raise Wrong(f"{self.target.name}: the swarm does not answer to: {line}")
        answer = self.child.stdout.readline()
        if not answer:
            raise Wrong(f"{self.target.name}: the swarm ended at: {line}")
        self.last = json.loads(answer)
        if self.last["failure"]:
            raise Wrong(f"{self.target.name}: {line}: {self.last['failure']}: {json.dumps(self.last)}")
        return self.last

    def close(self):
        self.child.stdin.close()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
