"""A network of its own, of loopback alone, in which packets can be made to vanish."""

import contextlib
import ctypes
import os
import subprocess

from .process import spawn, until

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def _enter(fd):
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class NetNs:
    """Programs are started in it with `prefix` before their argv. Unix sockets reach across."""

    def __init__(self):
        assert os.geteuid() == 0, "network namespaces need root; run the tests as root or with sudo"
        self.holder = spawn(["unshare", "--net", "sh", "-c", "ip link set lo up && exec sleep 3600"])
        self.prefix = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--"]
        until(self._is_up, 5, "the network namespace")

    def _is_up(self):
        own = os.readlink("/proc/self/ns/net")
        if os.readlink(f"/proc/{self.holder.pid}/ns/net") == own:
            return False
        shown = subprocess.run(self.prefix + ["ip", "link", "show", "lo", "up"],
                               capture_output=True, check=False)
        return b"LOOPBACK,UP" in shown.stdout

    @contextlib.contextmanager
    def inside(self):
        """Sockets that this thread makes meanwhile are in the namespace, and stay there."""
        with open("/proc/thread-self/ns/net") as home, \
                open(f"/proc/{self.holder.pid}/ns/net") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def nft(self, script):
        subprocess.run(self.prefix + ["nft", "-f", "-"], input=script.encode(), check=True)

    def swallow(self, port):
        """From now on no packet to or from this port arrives, and nobody is told."""
        self.nft("add table inet cut\n"
                 "add chain inet cut in { type filter hook input priority 0; }\n"
                 f"add rule inet cut in tcp dport {port} drop\n"
                 f"add rule inet cut in tcp sport {port} drop\n")

    def heal(self):
        self.nft("delete table inet cut")

    def close(self):
        self.holder.kill()
        self.holder.wait()
