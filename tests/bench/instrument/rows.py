"""
The rows of the table: what is done, and what is asked of it. Where several servers are compared they
all run at once and take turns, round by round, so that a machine that is slow for a while is slow for
all of them. A server that waits for its turn does nothing.
"""

import contextlib
import os
import statistics

from .report import Figure, Row, ratio
from .swarm import Swarm, Wrong
from .targets import Floor, Nchan, Sluice, count_syscalls, rss

MESSAGE = 100
NS_PER_US = 1e3


class Plan:
    """How much is done: a whole run, or a quick one for continuous integration."""

    def __init__(self, quick, with_nchan):
        self.quick, self.with_nchan = quick, with_nchan
        self.rounds = 3 if quick else 5
        self.repeats = 1 if quick else 3  # of what starts fresh servers
        self.streams = 1000 if quick else 10000
        self.serial = 100 if quick else 40        # messages, one at a time
        self.burst = 500                          # messages at once
        self.nchan_burst = 30
        self.idle_seconds = 4 if quick else 31    # whole: two heartbeats and a bit
        self.channel_messages = 5000 if quick else 20000
        self.rate_messages = 1000 if quick else 5000


class Crew:
    """Targets with their swarms, all ended together."""

    def __init__(self, stack, row, makers):
        self.row, self.stack = row, stack
        self.swarms = {}
        for make in makers:
            target = make()
            stack.callback(target.close)
            swarm = Swarm(target)
            stack.callback(swarm.close)
            self.swarms[target.name] = swarm

    def all(self):
        return list(self.swarms.values())

    def drop(self, swarm, why):
        """nchan may fail without failing the row; nobody else."""
        if swarm.target.dialect == "sluice":
            raise why
        self.row.note(f"left out: {why}")
        del self.swarms[swarm.target.name]

    def each(self, work):
        """{name: work(swarm)} in turn."""
        out = {}
        for swarm in self.all():
            try:
                out[swarm.target.name] = work(swarm)
            except Wrong as why:
                self.drop(swarm, why)
        return out

    def rounds(self, count, work):
        """{name: [answer of each round]}: everybody once, then everybody again."""
        out = {}
        for _ in range(count):
            for name, answer in self.each(work).items():
                out.setdefault(name, []).append(answer)
        return {name: answers for name, answers in out.items() if len(answers) == count}

    def check_counts(self):
        for swarm in self.all():
            wrong = swarm.target.check_counts(swarm)
            if wrong:
                self.row.fail(f"{swarm.target.name}: {wrong}")


def per_delivery(answers):
    return Figure([a["cpu_ns"] / a["deliveries"] / NS_PER_US for a in answers], "us")


def rate(answers):
    return Figure([a["deliveries"] / a["wall_ns"] * 1e3 for a in answers], "M/s")


def compare(row, plan, title, one, other, *, limit, quick=None, least=False):
    row.bound(title, ratio(one, other), limit, quick=quick, least=least)


def syscall_notes(row, crew, order):
    """In rounds of their own: being counted costs the counted."""
    for swarm in crew.all():
        with contextlib.suppress(Wrong):
            calls, answer = count_syscalls(swarm.target, lambda s=swarm: order(s))
            text = f"{calls / answer['deliveries']:.4f}" if calls else "not measured (perf cannot)"
            row.note(f"system calls a delivery, {swarm.target.name}: {text}")


# ---- fan-out: one message at a time, bursts, workers ----------------------------------------------


def serial(plan):
    row = Row("serial", f"CPU per delivery, one message at a time, {plan.streams} streams")

    def one_by_one(swarm):
        swarm.order("publish", messages=2, bytes=MESSAGE)  # warm after the others' turn
        return swarm.order("publish", messages=plan.serial, bytes=MESSAGE)

    with contextlib.ExitStack() as stack:
        crew = Crew(stack, row, [Sluice, Floor] + [Nchan] * plan.with_nchan)
        crew.each(lambda s: s.order("connect", streams=plan.streams))
        answers = crew.rounds(plan.rounds, one_by_one)
        cost = {name: row.figure(name, per_delivery(a)) for name, a in answers.items()}
        compare(row, plan, "sluice / floor", cost["sluice"], cost["floor"], limit=1.15, quick=1.6)
        if "nchan" in cost:
            compare(row, plan, "sluice / nchan", cost["sluice"], cost["nchan"], limit=0.6)
        syscall_notes(row, crew, lambda s: s.order("publish", messages=10, bytes=MESSAGE))
        crew.check_counts()
    return row


def burst(plan):
    row = Row("burst", f"CPU per delivery in bursts of {plan.burst}, {plan.streams} streams")

    def at_once(swarm):
        count = plan.nchan_burst if swarm.target.dialect == "nchan" else plan.burst
        swarm.order("publish", messages=2, bytes=MESSAGE)
        return swarm.order("publish", messages=count, window=count, bytes=MESSAGE, seconds=90)

    with contextlib.ExitStack() as stack:
        crew = Crew(stack, row, [Sluice, lambda: Floor(batch=True)] + [Nchan] * plan.with_nchan)
        crew.each(lambda s: s.order("connect", streams=plan.streams))
        answers = crew.rounds(plan.rounds, at_once)
        cost = {name: row.figure(name, per_delivery(a)) for name, a in answers.items()}
        pace = {name: row.figure(name, rate(a)) for name, a in answers.items()}
        compare(row, plan, "sluice / batching floor", cost["sluice"], cost["floor, batching"], limit=1.5, quick=2.5)
        if "nchan" in pace:
            compare(row, plan, "rate, sluice / nchan", pace["sluice"], pace["nchan"], limit=10, least=True)
            row.note(f"nchan's bursts are of {plan.nchan_burst}: it sends each message to each stream singly")
        syscall_notes(row, crew, at_once)
        crew.check_counts()
    return row


def workers(plan):
    row = Row("workers", f"CPU per delivery with two workers, {plan.streams} streams")

    def one_by_one(swarm):
        swarm.order("publish", messages=2, bytes=MESSAGE)
        return swarm.order("publish", messages=plan.serial, bytes=MESSAGE)

    with contextlib.ExitStack() as stack:
        crew = Crew(stack, row, [Sluice, lambda: Sluice(workers=2)])
        crew.each(lambda s: s.order("connect", streams=plan.streams))
        answers = crew.rounds(plan.rounds, one_by_one)
        cost = {name: row.figure(name, per_delivery(a)) for name, a in answers.items()}
        compare(row, plan, "two workers / one", cost["sluice, 2 workers"], cost["sluice"], limit=1.1, quick=1.6)
        crew.check_counts()
    if (os.cpu_count() or 1) < 6:
        row.note(f"the rate of two workers: not measured ({os.cpu_count()} cores; six are needed)")
    else:
        row.note("the rate of two workers: not measured (one core is given to the server)")
    return row


# ---- idle streams and storms ---------------------------------------------------------------------


def life(plan, make, streams):
    """A fresh server from its first stream to the third storm."""
    idle_seconds = 1 if make is Floor else plan.idle_seconds  # the floor has no heartbeats: nothing to see
    out = {"connect": [], "disconnect": [], "rss_after": []}
    with contextlib.ExitStack() as stack:
        target = make()
        stack.callback(target.close)
        swarm = Swarm(target)
        stack.callback(swarm.close)
        before = rss(target)
        for storm in range(3):
            opened = swarm.order("connect", streams=streams)
            out["connect"].append(opened["cpu_ns"] / streams / NS_PER_US)
            if storm == 0:
                out["idle"] = swarm.order("idle", seconds=idle_seconds)
                out["wrong"] = target.check_counts(swarm)
                out["bytes"] = (out["idle"]["rss"] - before) / streams
            closed = swarm.order("disconnect")
            out["disconnect"].append(closed["cpu_ns"] / streams / NS_PER_US)
            out["rss_after"].append(closed["rss"])
    return out


def idle_share(one):
    return one["idle"]["cpu_ns"] / one["idle"]["wall_ns"] * 100


def idle(plan):
    row = Row("idle", f"{plan.streams} idle streams: memory, CPU; storms: CPU a connect and disconnect")
    kinds = [Sluice, Floor] + [Nchan] * plan.with_nchan
    figures = {}
    for kind in kinds:
        try:
            lives = [life(plan, kind, plan.streams) for _ in range(plan.repeats)]
        except Wrong as why:
            (row.fail if kind is Sluice else row.note)(str(why))
            continue
        for wrong in filter(None, (one["wrong"] for one in lives)):
            row.fail(wrong)
        figures[kind.__name__] = made = {
            "bytes": Figure([one["bytes"] for one in lives], "B/stream", 0),
            "share": Figure([idle_share(one) for one in lives], "% of a core", 3),
            "storm": Figure([statistics.mean(one["connect"]) + statistics.mean(one["disconnect"]) for one in lives],
                            "us a storm's connect and disconnect", 1),
            "kept": Figure([one["rss_after"][2] / one["rss_after"][0] for one in lives], "", 3),
        }
        for name in ("bytes", "share", "storm"):
            row.figure(kind.__name__.lower(), made[name])
        row.note(f"{kind.__name__.lower()}: connects {Figure(sum((o['connect'] for o in lives), []), 'us', 1)}, "
                 f"disconnects {Figure(sum((o['disconnect'] for o in lives), []), 'us', 1)}")
    ours = figures.get("Sluice")
    if ours:
        row.bound("memory an idle stream, bytes", ours["bytes"], 1500 if plan_hiredis_old() else 2000)
        row.bound("CPU while idle, %", ours["share"], 0.5)
        row.bound("CPU a connect and disconnect, us", ours["storm"], 30)
        row.bound("RSS after round three / round one", ours["kept"], 1.05, quick=1.3)
        if "Floor" in figures:
            row.bound("connect and disconnect / floor", ratio(ours["storm"], figures["Floor"]["storm"]), None, quick=5)
    return row


def plan_hiredis_old():
    """Debian 12's libraries; from 13 on a stream costs more."""
    with open("/etc/debian_version", encoding="ascii") as version:
        return version.read().startswith("12")


# ---- many channels -------------------------------------------------------------------------------


def channels(plan):
    streams, few, many = 1000, 1, 100
    row = Row("channels", f"CPU per message: {streams * many} subscribed channels instead of {streams * few}, "
                          f"on {streams} streams")
    window = 64

    def messages(swarm):
        swarm.order("publish", messages=500, window=window, bytes=MESSAGE)
        return swarm.order("publish", messages=plan.channel_messages, window=window, bytes=MESSAGE)

    def named(name):
        target = Sluice()
        target.name = name
        return target

    with contextlib.ExitStack() as stack:
        few_name, many_name = f"sluice, {streams * few}", f"sluice, {streams * many}"
        crew = Crew(stack, row, [lambda: named(few_name), lambda: named(many_name)])
        for name, span in ((few_name, few), (many_name, many)):
            crew.swarms[name].order("connect", streams=streams, channels=streams * span, span=span)
        answers = crew.rounds(plan.rounds, messages)
        cost = {name: row.figure(name, per_delivery(a)) for name, a in answers.items()}
        compare(row, plan, "many channels / few", cost[many_name], cost[few_name], limit=1.2, quick=2)
        row.note(f"{window} messages under way, each to a channel drawn at random")
        crew.check_counts()
    return row


# ---- latency -------------------------------------------------------------------------------------


def latency(plan):
    row = Row("latency", "publisher's write to last client's read: 100 streams, 1,000 messages/s")

    def at_rate(swarm):
        return swarm.order("rate", messages=plan.rate_messages, per_second=1000, bytes=MESSAGE)

    with contextlib.ExitStack() as stack:
        crew = Crew(stack, row, [Sluice, Floor] + [Nchan] * plan.with_nchan)
        crew.each(lambda s: s.order("connect", streams=100))
        answers = crew.rounds(plan.rounds, at_rate)
        p99 = {}
        for name, list_ in answers.items():
            for share in ("p50_ns", "p99_ns", "max_ns"):
                figure = Figure([a[share] / NS_PER_US for a in list_], "us " + share[:3], 0)
                row.figure(name, figure)
                if share == "p99_ns":
                    p99[name] = figure
        compare(row, plan, "p99, sluice / floor", p99["sluice"], p99["floor"], limit=1.5, quick=4)
        crew.check_counts()
    if "nchan" in p99:
        row.note("nchan is published to directly; the others by way of Redis")
    return row


def big(plan):
    row = Row("big", "1 MiB to 1,000 streams while 100 others get 1,000 small messages/s")

    def alone(swarm):
        return swarm.order("rate", messages=1000, per_second=1000, bytes=MESSAGE)

    def beside(swarm):
        messages = 4000 if swarm.target.dialect == "sluice" else 20000  # nchan takes its time for the big ones
        return swarm.order("rate", messages=messages, per_second=1000, bytes=MESSAGE, bigs=2, big_bytes=1 << 20,
                           big_group=1, seconds=60)

    def both(swarm):
        return alone(swarm), beside(swarm)

    with contextlib.ExitStack() as stack:
        crew = Crew(stack, row, [Sluice] + [Nchan] * plan.with_nchan)
        crew.each(lambda s: s.order("connect", streams=100))
        crew.each(lambda s: s.order("connect", streams=1000, bulk=1))
        answers = crew.rounds(plan.rounds, both)
        for name, pairs in answers.items():
            without = row.figure(name, Figure([a["p99_ns"] / NS_PER_US for a, _ in pairs], "us p99 without", 0))
            during = row.figure(name, Figure([b["p99_ns"] / NS_PER_US for _, b in pairs], "us p99 during", 0))
            row.figure(name, Figure([b["p50_ns"] / NS_PER_US for _, b in pairs], "us p50 during", 0))
            row.figure(name, Figure([b["big_ns"] / 1e6 for _, b in pairs], "ms the big one", 0))
            if name == "sluice":
                compare(row, plan, "p99 of the small, during / without", during, without, limit=3, quick=40)
            row.note(f"{name}: {min(b['timed'] for _, b in pairs)} small messages or more a round were written "
                     "while a big one was under way; only these count")
        crew.check_counts()
    return row


# ---- TLS -----------------------------------------------------------------------------------------


H2_STREAMS = 100  # a connection: what the gateway and nginx allow at least


def secure(plan, row, wire, **connect):
    """Memory a stream and CPU per delivery, one message at a time, beside the same in clear and nchan over the same."""

    def one_by_one(swarm):
        swarm.order("publish", messages=2, bytes=MESSAGE)
        return swarm.order("publish", messages=plan.serial, bytes=MESSAGE)

    with contextlib.ExitStack() as stack:
        crew = Crew(stack, row, [lambda: Sluice(wire=wire), Sluice] + [lambda: Nchan(wire)] * plan.with_nchan)
        before = {s.target.name: rss(s.target) for s in crew.all()}
        opened = crew.each(lambda s: s.order("connect", streams=plan.streams, seconds=120,
                                             **(connect if s.target.wire == wire else {})))
        memory = {name: row.figure(name, Figure([(a["rss"] - before[name]) / plan.streams], "B/stream", 0))
                  for name, a in opened.items()}
        for name, a in opened.items():
            row.note(f"{name}: {a['cpu_ns'] / plan.streams / NS_PER_US:.0f} us of CPU to open a stream")
        answers = crew.rounds(plan.rounds, one_by_one)
        cost = {name: row.figure(name, per_delivery(a)) for name, a in answers.items()}
        ours, theirs = f"sluice, {wire}", f"nchan, {wire}"
        compare(row, plan, f"CPU, {wire} / clear", cost[ours], cost["sluice"], limit=None,
                quick=4 if wire == "tls" else 1)
        if theirs in cost:
            compare(row, plan, "memory, sluice / nchan", memory[ours], memory[theirs], limit=1)
            compare(row, plan, "CPU, sluice / nchan", cost[ours], cost[theirs], limit=1)
        syscall_notes(row, crew, lambda s: s.order("publish", messages=10, bytes=MESSAGE))
        crew.check_counts()
    return row


def tls(plan):
    return secure(plan, Row("tls", f"TLS 1.3 and HTTP/1, {plan.streams} streams: memory, CPU per delivery"), "tls")


def http2(plan):
    row = Row("http2", f"TLS 1.3 and HTTP/2, {plan.streams} streams, {H2_STREAMS} a connection: memory, CPU per delivery")
    return secure(plan, row, "h2", per_link=H2_STREAMS)


ROWS = {f.__name__: f for f in (serial, burst, idle, channels, latency, workers, tls, http2, big)}
