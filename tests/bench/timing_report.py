"""Writes docs/timing.md: what was measured of time, against the thresholds that were stated before."""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from tests.bench.telling import BLOCKS, ONE_SAMPLE, Share, Telling

# What the shipped settings let a client ask in a minute.
A_MINUTE = 300


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and over what was measured: processors, the load around it, arrests, and how many of them are visible."""

    processors: int
    least_load: float
    most_load: float
    arrests: int
    visible: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One question: hidden match against none, and none against none."""

    title: str
    found: Telling
    noise: Telling

    def line(self) -> str:
        """Say in one line what was measured."""
        found = self.found
        return (
            f"{self.title}, {found.samples:,} pairs: AUC {found.auc:.3f} ({found.interval[0]:.3f} to "
            f"{found.interval[1]:.3f}), none against none {self.noise.auc:.3f}; medians {found.medians[0]:.2f} and "
            f"{found.medians[1]:.2f} ms; needs {found.needed:,.0f} samples"
        )


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured under one grid (in milliseconds), and when."""

    grid: int
    day: date
    machine: Machine
    found: tuple[Measured, ...]


def written(runs: Sequence[Run]) -> str:
    """Write the whole document."""
    parts = [_INTRODUCTION]
    for run in runs:
        title = "Without a grid" if run.grid == 0 else f"On a grid of {run.grid} ms (`GATEWAY_ANSWER_GRID={run.grid}`)"
        parts += [f"## {title}", _machine(run), "\n".join(_table(run.found))]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = f"""# What time tells of hidden records

Written by `make bench-timing`; not a test of the suite, since its figures depend on the machine. What it means, and
what is promised, stands in [SECURITY.md](../SECURITY.md), *Time*.

**The measurement.** One attacker, a registered client, with neither network nor HTTP in between: the whole gateway, its
threads running, is asked through WSGI in one process, over real PostgreSQL. Every real attacker hears less. It asks
two questions whose answers are the same bytes, one with matches that the policy hides and one without any, in pairs, in
an order drawn at random within each pair. None against none, from the same run, shows what the machine's own noise
comes to.

**What to take from it.** Other work on the machine hides differences: compare the quartiles' distance with the
difference of the medians. A table with fewer than 10,000 pairs, or a load above the number of processors, flatters the
gateway; on a quiet machine the same difference is told in fewer samples. On a grid the questions are asked side by
side, each in a thread, since most of the time is waiting: that adds noise, and two tables are not of equal conditions.

**The statistics, and the thresholds, which were stated before anything was measured.**

- *One sample*: the AUC, how often an answer with a hidden match takes longer than one without (0.5 is guessing), with
  its 95 % interval (bootstrap). Not told apart at one sample: the whole interval within 0.5 ± {ONE_SAMPLE}.
  Told apart: the whole interval outside. Else the samples leave it open.
- *Best threshold*: the advantage of the best single threshold, right alarms less false ones (Kolmogorov-Smirnov).
- *p*: Mann-Whitney, two-sided. Whether *anything* can be told from all samples together.
- *Blocks*: of {" and ".join(map(str, BLOCKS))} pairs, by the medians of a block: how often the one with the hidden
  match is the longer one. Told apart: outside the interval in which 99 % of guessers end.
- *Needed*: samples of each kind for a guess that is right in 95 of 100, by the farther end of the AUC's interval if
  each sample adds as much as the first; and how long that takes at {A_MINUTE} requests a minute, `GATEWAY_CLIENT_LIMIT`
  as shipped. Where the interval holds 0.5 this is a lower bound on the effort: nothing was shown to work at all."""


def _machine(run: Run) -> str:
    machine, python = run.machine, platform.python_version()
    return (
        f"Measured on {run.day} on {machine.processors} processors ({platform.machine()}), Python {python}, load "
        f"{machine.least_load:.1f} to {machine.most_load:.1f}, which counts the measurement itself. "
        f"{machine.arrests:,} invented arrests, {machine.visible:,} of them visible by a rule with two `exists`, and "
        "planted ones: 1,000 hidden persons whose names and numbers begin alike, one of them with 2,000 charges. Slow "
        "questions were asked a tenth as often."
    )


def _table(measured: Sequence[Measured]) -> Iterator[str]:
    yield (
        "| question | pairs | median, hidden and none (ms) | quartiles apart (ms) | AUC, one sample "
        "| none against none | best threshold | p | "
        + " | ".join(f"right in blocks of {size}" for size in BLOCKS)
        + " | needed | at one sample |"
    )
    yield "|---" * (10 + len(BLOCKS)) + "|"
    for each in measured:
        found, noise = each.found, each.noise
        shares = {share.size: share for share in found.shares}
        blocks = " | ".join(_block(shares.get(size)) for size in BLOCKS)
        yield (
            f"| {each.title} | {found.samples:,} | {found.medians[0]:.3f}, {found.medians[1]:.3f} | {found.spread:.3f} "
            f"| {found.auc:.3f} ({found.interval[0]:.3f} to {found.interval[1]:.3f}) "
            f"| {noise.auc:.3f} ({noise.interval[0]:.3f} to {noise.interval[1]:.3f}) | {found.advantage:.3f} "
            f"| {_p(found.probability)} | {blocks} | {_needed(found)} "
            f"| {found.verdict} |"
        )


def _block(share: Share | None) -> str:
    if share is None:
        return "too few"
    return f"{share.right:.0%} of {share.blocks:,} (guessing: ±{share.guessing:.0%})"


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _needed(found: Telling) -> str:
    minutes = 2 * found.needed / A_MINUTE
    took = (
        f"{60 * minutes:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    )
    least = "at least " if found.interval[0] <= 0.5 <= found.interval[1] else ""
    return f"{least}{found.needed:,.0f} ({took})"
