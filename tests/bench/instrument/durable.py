"""The rows of durable channels: what a message costs, storms of resumes, and one lost connection to Redis."""

import contextlib
import re
import threading

from harness.gateway import Gateway

from .report import Figure, Row, ratio
from .rows import MESSAGE, NS_PER_US, Crew, per_delivery
from .swarm import Swarm, Wrong
from .targets import SERVER_CORE, Floor, Sluice, cpu_ns

DURABLE = {"namespaces": [{"match": "b*", "history": {"messages": 1000, "seconds": 3600}}]}
BACK = 100  # messages a client has missed


def durable_sluice(name="sluice, durable", **settings):
    target = Sluice(**DURABLE, **settings)
    target.name = name
    return target


def is_durable(swarm):
    return int("durable" in swarm.target.name)


# ---- what a message costs ------------------------------------------------------------------------


def durable(plan):
    streams, messages, publications = 1000, plan.serial * 2, plan.rate_messages
    row = Row("durable", f"CPU per delivery of durable messages, one at a time, {streams} streams of one channel")

    def one_by_one(swarm):
        how = {"bytes": MESSAGE, "durable": is_durable(swarm)}
        swarm.order("publish", messages=2, **how)
        return swarm.order("publish", messages=messages, **how)

    def redis_cost(swarm):
        pid = swarm.target.redis.child.pid
        before = cpu_ns(pid)
        swarm.order("publish", messages=publications, window=64, group=1, bytes=MESSAGE, durable=is_durable(swarm))
        return (cpu_ns(pid) - before) / publications / NS_PER_US

    with contextlib.ExitStack() as stack:
        crew = Crew(stack, row, [Sluice, durable_sluice])
        crew.each(lambda s: s.order("connect", streams=streams))
        answers = crew.rounds(plan.rounds, one_by_one)
        cost = {name: row.figure(name, per_delivery(a)) for name, a in answers.items()}
        row.bound("durable / ephemeral", ratio(cost["sluice, durable"], cost["sluice"]), 1.3, quick=2)
        crew.each(lambda s: s.order("connect", streams=1))
        publishes = crew.rounds(plan.rounds, redis_cost)
        for name, what in (("sluice", "a PUBLISH"), ("sluice, durable", "a durable publish")):
            row.note("Redis's CPU: " + str(Figure(publishes[name], "us " + what, 1)))
        crew.check_counts()
    return row


# ---- storms of resumes ---------------------------------------------------------------------------


def xranges(redis):
    found = re.search(r"cmdstat_xrange:calls=(\d+)", redis.cli("INFO", "commandstats").decode())
    return int(found[1]) if found else 0


def storm(stack, make, streams, fresh=False):
    """
    A server whose one channel has had BACK messages and one before them, and then all who come for these at
    once. fresh: they come to a gateway that was not there when the messages came. Returns the swarm's answer and
    the XRANGEs in Redis meanwhile.
    """
    target = make()
    stack.callback(target.close)
    swarm = Swarm(target)
    stack.callback(swarm.close)
    swarm.order("connect", streams=1)
    for count in (1, BACK):
        swarm.order("publish", messages=count, window=count, bytes=MESSAGE, durable=is_durable(swarm))
    if fresh:
        gateway = Gateway(target.redis, kind="release", within=SERVER_CORE, workers=1, **DURABLE)
        stack.callback(gateway.clean)
        swarm.order("server", port=gateway.ports[0], pid=gateway.child.pid)
    before = xranges(target.redis)
    answer = swarm.order("resume", streams=streams, messages=BACK, seconds=120)
    reads = xranges(target.redis) - before
    wrong = None if fresh else target.check_counts(swarm)
    if wrong:
        raise Wrong(f"{target.name}: {wrong}")
    return answer, reads


def resume(plan):
    streams = plan.streams
    row = Row("resume", f"{streams} clients come at once and resume {BACK} messages each")
    kinds = {"sluice, durable": (durable_sluice, False), "sluice, durable, just started": (durable_sluice, True),
             "floor": (lambda: Floor(replay=True), False)}
    answers = {name: [] for name in kinds}
    for _ in range(plan.repeats):
        for name, (make, fresh) in kinds.items():
            with contextlib.ExitStack() as stack:
                answers[name].append(storm(stack, make, streams, fresh))
    wall, cpu = {}, {}
    for name, each in answers.items():
        wall[name] = row.figure(name, Figure([a["wall_ns"] / 1e9 for a, _ in each], "s"))
        cpu[name] = row.figure(name, Figure([a["cpu_ns"] / streams / NS_PER_US for a, _ in each], "us of CPU a client", 1))
    for name, title in (("sluice, durable", "from memory"), ("sluice, durable, just started", "just started")):
        row.bound(f"time, {title} / floor", ratio(wall[name], wall["floor"]), 2, quick=8)
        row.bound(f"CPU, {title} / floor", ratio(cpu[name], cpu["floor"]), None)
        row.bound(f"XRANGE, {title}", Figure([reads for _, reads in answers[name]], "", 0), 10, quick=10)
    row.note("the floor sends a client all of them, with ids, by one send(); both with connecting")
    return row


# ---- one lost connection -------------------------------------------------------------------------


def reconnect(plan):
    streams, span = (100, 100) if plan.quick else (1000, 100)
    row = Row("reconnect", f"{streams * span} durable channels on {streams} streams: Redis drops the gateway's "
                           "subscriptions while messages come")
    rate, seconds = 500, 2 if plan.quick else 8
    back, usual, connects = [], [], "sluice_redis_connects_total"
    with contextlib.ExitStack() as stack:
        target = durable_sluice()
        stack.callback(target.close)
        swarm = Swarm(target)
        stack.callback(swarm.close)
        opened = swarm.order("connect", streams=streams, channels=streams * span, span=span, seconds=120)
        row.note(f"{opened['wall_ns'] / 1e9:.1f} s until all were subscribed to at first")
        for _ in range(plan.repeats):
            quiet = swarm.order("rate", messages=rate, per_second=rate, bytes=MESSAGE, durable=1)
            before = target.gateway.metrics()[connects]
            killer = threading.Timer(1, lambda: target.redis.cli("CLIENT", "KILL", "TYPE", "pubsub"))
            killer.start()
            answer = swarm.order("rate", messages=rate * seconds, per_second=rate, bytes=MESSAGE, durable=1)
            killer.join()
            if target.gateway.metrics()[connects] == before:
                row.fail("nothing was reconnected")
            back.append(answer["max_ns"] / 1e9)
            usual.append(quiet["p99_ns"] / NS_PER_US)
        row.figure("sluice, durable", Figure(back, "s from a publish to its last read at most"))
        row.figure("sluice, durable", Figure(usual, "us p99 without", 0))
        row.bound("back, all delivered in order, s", Figure(back, "s"), 3, quick=3)
        wrong = target.check_counts(swarm)
        if wrong:
            row.fail(wrong)
    row.note(f"{rate} messages/s, each to a channel drawn at random; every one was delivered once, ids rising on "
             "every stream")
    return row


ROWS = {f.__name__: f for f in (durable, resume, reconnect)}
