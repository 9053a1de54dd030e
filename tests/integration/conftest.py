"""Fixtures: a bound on every test's time, servers that are always ended, and how they ended."""

import contextlib
import itertools
import resource
import signal

import pytest

from harness.crowd import Crowd
from harness.fakes import FakeRedis
from harness.gateway import Gateway
from harness.netns import NetNs
from harness.redis import Redis


def pytest_configure(config):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class TookTooLong(BaseException):
    """Not an Exception: a test that expects some error must not take this for it."""


@contextlib.contextmanager
def _deadline(item):
    marker = item.get_closest_marker("deadline")
    seconds = marker.args[0] if marker else 30

    def ring(_signum, _frame):
        raise TookTooLong(f"{item.name} took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 5)  # and again, should it be swallowed
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    with _deadline(item):
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    with _deadline(item):
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item):
    with _deadline(item):
        yield


class _Makers:
    """Starts servers and ends them in reverse order; a gateway's bad end fails the test."""

    def __init__(self):
        self.made = []

    def add(self, thing):
        self.made.append(thing)
        return thing

    def end(self):
        failures = []
        for thing in reversed(self.made):
            if isinstance(thing, Gateway):
                try:
                    thing.stop()
                except Exception as failure:  # the rest must still be ended
                    failures.append(failure)
                thing.clean()
            else:
                thing.close()
        self.made = []
        if failures:
            raise failures[0]


@pytest.fixture
def makers():
    made = _Makers()
    yield made
    made.end()


@pytest.fixture(scope="module")
def module_makers():
    made = _Makers()
    yield made
    made.end()


@pytest.fixture
def start_redis(makers):
    """start_redis(**settings): a Redis for this test alone."""
    return lambda *args, **options: makers.add(Redis(*args, **options))


@pytest.fixture
def start_gateway(makers):
    """start_gateway(redis, **settings): a gateway for this test alone."""
    return lambda *args, **settings: makers.add(Gateway(*args, **settings))


@pytest.fixture
def start_fake(makers):
    return lambda *args, **options: makers.add(FakeRedis(*args, **options))


@pytest.fixture
def start_crowd(makers):
    return lambda *args, **options: makers.add(Crowd(*args, **options))


@pytest.fixture
def netns(makers):
    return makers.add(NetNs())


@pytest.fixture(scope="session")
def shared_redis():
    """A Redis for tests that leave it as it was. Each uses channel names of its own."""
    redis = Redis()
    yield redis
    redis.close()


@pytest.fixture
def redis(start_redis):
    """A Redis that the test may kill and freeze."""
    return start_redis()


@pytest.fixture(scope="module")
def module_gateway(shared_redis, module_makers):
    return module_makers.add(Gateway(shared_redis, redis_linger_ms=100, namespaces=[
        {"match": "env.*", "payload": "envelope"}, {"match": "*"}]))


@pytest.fixture
def gateway(module_gateway):
    """One gateway a test file, open, with two workers, on the shared Redis; envelopes under env."""
    yield module_gateway
    assert module_gateway.alive(), module_gateway.log()[-3000:]
    module_gateway.close_streams()


_names = itertools.count(1)


@pytest.fixture
def name():
    """A channel's name that no other test has: a late message of another must not be taken for ours."""
    return f"name{next(_names)}"
