"""`sluice tail` and `sluice publish` against a gateway whose certificate is no public CA's."""

import subprocess

import pytest

from harness.gateway import binary
from harness.process import clean_env, until
from harness.tls import other, pair  # noqa: F401


@pytest.fixture
def secure(start_gateway, pair):
    """The URL of a gateway with this certificate."""
    gateway = start_gateway(tls=pair.settings, broker="memory", open=True,
                            listen=["http://127.0.0.1:0", "127.0.0.1:0"])
    return f"https://localhost:{gateway.addresses[1][1]}"


def plain_env():
    """No proxy stands between these tests and the gateway."""
    return {k: v for k, v in clean_env().items() if not k.lower().endswith("_proxy")}


def run(*args):
    return subprocess.run([binary(), *args], capture_output=True, timeout=20, env=plain_env(), check=False)


@pytest.fixture
def tail(makers, tmp_path):
    """A `sluice tail` that runs; its standard output goes to a file."""
    class Tail:
        def __init__(self, *args):
            self.out, self.err = tmp_path / "out", tmp_path / "err"
            with self.out.open("wb") as out, self.err.open("wb") as err:
                self.child = subprocess.Popen([binary(), "tail", *args], stdout=out, stderr=err,
                                              env=plain_env())

        def close(self):
            self.child.kill()
            self.child.wait()
    return lambda *args: makers.add(Tail(*args))


def test_publish_and_tail_trust_the_certificate_that_cacert_names(secure, pair, tail):
    follower = tail("a", "--url", secure, "--cacert", pair.cert, "--count", "1")
    until(lambda: b"connected" in follower.err.read_bytes(), 10, "the stream")
    done = run("publish", "a", "--data", "x", "--url", secure, "--cacert", pair.cert)
    assert (done.returncode, done.stdout, done.stderr) == (0, b'{"receivers":1}\n', b"")
    assert follower.child.wait(10) == 0
    assert follower.out.read_bytes() == b"a x\n"


def test_publish_without_cacert_refuses_a_certificate_of_its_own(secure):
    done = run("publish", "a", "--data", "x", "--url", secure)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"certificate" in done.stderr


def test_another_certificate_than_cacert_names_is_not_trusted(secure, other):
    done = run("publish", "a", "--data", "x", "--url", secure, "--cacert", other.cert)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"certificate" in done.stderr


@pytest.mark.parametrize("command", [["publish", "--data", "x"], ["tail"]])
def test_a_cacert_that_cannot_be_read_is_told_at_once(command, tmp_path):
    done = run(*command, "a", "--cacert", str(tmp_path / "none.pem"))
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1 and b"--cacert" in done.stderr


@pytest.mark.parametrize("command", [["publish", "--data", "x"], ["tail"]])
def test_a_cacert_that_holds_no_certificate_ends_the_command(command, secure, tmp_path):
    file = tmp_path / "empty.pem"
    file.write_text("nothing of use\n")
    done = run(*command, "a", "--url", secure, "--cacert", str(file))
    assert (done.returncode, done.stdout) == (1, b"")
    assert str(file).encode() in done.stderr
