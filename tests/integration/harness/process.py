"""Child processes that cannot outlive the test run, and waiting that always has an end."""

import ctypes
import os
import signal
import subprocess
import time

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _before_exec():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # A shell ignores SIGINT for what it starts with `&`, and no script below could ever trap it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def spawn(argv, **popen):
    """A child that the kernel kills when this process ends, however it ends."""
    return subprocess.Popen(argv, preexec_fn=_before_exec, **popen)


def clean_env(**extra):
    """The environment without what would configure a gateway, and with strict sanitizers."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SLUICE_", "REDIS_"))}
    env["ASAN_OPTIONS"] = "halt_on_error=1:exitcode=99:detect_leaks=1:detect_stack_use_after_return=0"
    env["UBSAN_OPTIONS"] = "halt_on_error=1:print_stacktrace=1"
    env.setdefault("TSAN_OPTIONS", "halt_on_error=1:exitcode=66")
    env.update({k: str(v) for k, v in extra.items()})
    return env


def until(predicate, seconds=5.0, what="the condition", step=0.02):
    """The first true answer of predicate(), or AssertionError after `seconds`; what: text, or makes it."""
    end = time.monotonic() + seconds
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > end:
            what = what() if callable(what) else what
            raise AssertionError(f"waited {seconds} s for {what}; the last answer was {answer!r}")
        time.sleep(step)


def stays(predicate, seconds, what="the condition", step=0.05):
    """Asserts that predicate() is true now and at every look for `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert predicate(), f"{what} did not last {seconds} s"
        time.sleep(step)


def listens_at(pid, path):
    """Whether somebody listens at a unix socket, as the process's network sees it; a file alone may be left over."""
    accepts = "00010000"  # __SO_ACCEPTCON
    with open(f"/proc/{pid}/net/unix", encoding="utf-8", errors="replace") as sockets:
        lines = [line.split(None, 7) for line in sockets]
    return any(line[3] == accepts and line[7].strip() == path for line in lines if len(line) == 8)


def memory(pid, field="VmRSS"):
    """Bytes of a process's memory: VmRSS now, VmHWM at its highest since reset_peak."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no {field}")


def reset_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as refs:
        refs.write("5")


def cpu_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
