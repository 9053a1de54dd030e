"""Figures with their spread, bounds on them, and the table of both."""

import json
import statistics


class Figure:
    """What several rounds gave: the median, the least and the most."""

    def __init__(self, values, unit, digits=2):
        self.values, self.unit, self.digits = list(values), unit, digits
        self.median = statistics.median(self.values)

    def __str__(self):
        low, high = min(self.values), max(self.values)
        text = f"{self.median:.{self.digits}f}"
        if len(self.values) > 1:
            text += f" [{low:.{self.digits}f}-{high:.{self.digits}f}]"
        return f"{text} {self.unit}".strip()


def ratio(over, under):
    """Round by round, so that what slowed both cancels out."""
    return Figure([a / b for a, b in zip(over.values, under.values)], "", 2)


class Bound:
    """`what` must be at most (or at least) `limit`; loose: --quick has another limit, or None for no check."""

    def __init__(self, what, figure, limit, quick=None, least=False):
        self.what, self.figure, self.limit, self.quick, self.least = what, figure, limit, quick, least

    def judge(self, quick):
        limit = self.quick if quick else self.limit
        if limit is None:
            return "not judged in a quick run" if quick else "no bound", True
        value = self.figure.median
        good = value >= limit if self.least else value <= limit
        return f"{'at least' if self.least else 'at most'} {limit:g}: {'pass' if good else 'FAIL'}", good


class Row:
    """One line of issue and README: figures of each server, bounds, and notes."""

    def __init__(self, name, title):
        self.name, self.title = name, title
        self.figures = {}  # server -> [text]
        self.bounds, self.notes = [], []
        self.failed = False

    def figure(self, server, figure):
        self.figures.setdefault(server, []).append(figure)
        return figure

    def bound(self, *args, **more):
        self.bounds.append(Bound(*args, **more))

    def note(self, text):
        self.notes.append(text)

    def fail(self, text):
        self.failed = True
        self.notes.append("FAILED: " + text)

    def lines(self, quick):
        yield f"{self.name}: {self.title}"
        for server, figures in self.figures.items():
            yield f"    {server:<20} " + ", ".join(str(f) for f in figures)
        for b in self.bounds:
            verdict, good = b.judge(quick)
            self.failed = self.failed or not good
            yield f"  {'' if good else '!'} {b.what:<38} {b.figure!s:<28} {verdict}"
        for note in self.notes:
            yield f"    {note}"

    def markdown(self):
        """The row of the README's table."""
        cells = {"sluice": [], "floor": [], "nchan": []}
        for server, figures in self.figures.items():
            kind, _, which = server.partition(", ")
            cells[kind].append((f"{which}: " if which else "") + ", ".join(str(f) for f in figures))
        ratios = "; ".join(f"{b.what} {b.figure}" for b in self.bounds)
        return "| " + " | ".join([self.title, *("<br>".join(c) for c in cells.values()), ratios]) + " |"

    def data(self):
        return {
            "name": self.name, "title": self.title, "failed": self.failed, "notes": self.notes,
            "figures": {s: [{"values": f.values, "unit": f.unit} for f in figures]
                        for s, figures in self.figures.items()},
            "bounds": [{"what": b.what, "values": b.figure.values, "limit": b.limit, "quick": b.quick}
                       for b in self.bounds],
        }


def save(path, rows, about):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"about": about, "rows": [r.data() for r in rows]}, indent=1) + "\n")


MARKDOWN_HEAD = "| what | sluice | floor | nchan | ratios |\n| --- | --- | --- | --- | --- |"
