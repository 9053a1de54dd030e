"""A run of the bus: plays it, prints what was counted, and says what is wrong."""

from pathlib import Path

from . import bus_faults, faults
from .bus_stage import BusStage

NEVER = ("stale reads", "stale at rest", "stale shared", "garbled", "repeated", "broken protocol")
TOLD = "flushes told"
AT_LEAST = {"confirmed by all": 20, "pending": 1, "served": 1000, "bypassed": 1, "lapsed": 1, "resumed": 10, TOLD: 1,
            "raced": 1, "left": 1, "by webhook": 100, "redelivered": 5, "large tags": 5, "sliced": 1,
            "tracked": 1000, "flush tracking": 1, "copies at rest": 100, "live at rest": 100}
SENTENCES = (
    ("invalidations", ("accepted", "confirmed by all", "pending", "settling", "muted", "retried", "redelivered",
                       "large tags", "sliced", "live writes")),
    ("peers", ("connections", "resumed", "begun anew", TOLD, "confirmed", "session gone", "left", "lapsed",
               "invalidations", "by webhook", "tracked", "dropped", "raced")),
    ("reads", ("reads", "served", "bypassed", "shared", "live", "filled", "fill refused", "without Redis")),
    ("at rest", ("copies at rest", "live at rest", "shared at rest")),
    ("wrong", NEVER),
)


def play(asked, directory):
    stage = BusStage(directory, asked.build)
    try:
        stage.begin(asked.seed, asked.careless)
        lanes = [[fault for kinds in lane for fault in kinds] for lane in bus_faults.LANES]
        names, enough = asked.only or bus_faults.NAMES, None
        if asked.invalidations:
            enough = lambda: stage.database.accepted() >= asked.invalidations  # noqa: E731
        lanes = faults.rage(stage, asked.seed, asked.seconds, names, lanes, bus_faults.Lane, enough)
        Path(directory, "faults").write_text("\n".join(str(f) for lane in lanes for f in lane.log), encoding="ascii")
        total, wrong = stage.settle()
    finally:
        stage.close()
    total[TOLD] = sum(n for name, n in total.items() if name.startswith("flush ") and name != "flush start")
    return lanes, total, wrong, stage


def failures_of(asked, fired, total):
    failures = [f"{name}: {total[name]}" for name in NEVER if total[name]]
    failures += [f"{name} never bit" for name, n in fired.items() if not n]
    least = {} if asked.only else {**AT_LEAST, "accepted": asked.invalidations}
    failures += [f"{name}: {total[name]}, which is below {n}" for name, n in least.items() if total[name] < n]
    return failures


def run(asked, directory):
    """Returns what is wrong, a line each."""
    lanes, total, wrong, stage = play(asked, directory)
    fired = {name: n for lane in lanes for name, n in lane.fired.items()}
    print("faults: " + ", ".join(f"{name} {n}" for name, n in fired.items()))
    for title, names in SENTENCES:
        print(f"{title}: " + ", ".join(f"{name} {total[name]}" for name in names))
    print("told: " + ", ".join(f"{name} {n}" for name, n in sorted(total.items()) if name.startswith("flush ")))
    print("gateways: " + ", ".join(f"{name} {n}" for name, n in sorted(stage.counters.items())))
    for line in wrong:
        print("  " + line[:600])
    return failures_of(asked, fired, total) + stage.reports()
