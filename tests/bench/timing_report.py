"""Writes docs/timing.md: what was measured of time, against the thresholds that were stated before."""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.bench.telling import BLOCKS, ONE_SAMPLE, Telling

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
    """One question under one grid (in milliseconds): hidden match against none, and none against none."""

    title: str
    grid: int
    found: Telling
    noise: Telling

    def line(self) -> str:
        """Say in one line what was measured."""
        found = self.found
        return (
            f"{self.title}, grid {self.grid} ms, {found.samples:,} pairs: AUC {found.auc:.3f} "
            f"({found.interval[0]:.3f} to {found.interval[1]:.3f}), none against none {self.noise.auc:.3f}; "
            f"medians {found.medians[0]:.2f} and {found.medians[1]:.2f} ms; needs {found.needed:,.0f} samples"
        )


def written(measured: Sequence[Measured], machine: Machine) -> str:
    """Write the whole document."""
    grids = sorted({each.grid for each in measured})
    parts = [_INTRODUCTION, _machine(machine)]
    for grid in grids:
        title = "Without a grid" if grid == 0 else f"On a grid of {grid} ms (`GATEWAY_ANSWER_GRID={grid}`)"
        parts.append(f"## {title}\n\n" + "\n".join(_table([each for each in measured if each.grid == grid])))
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = f"""# What time tells of hidden records

Written by `make bench-timing`; not a test of the suite, since its figures depend on the machine. What it means, and
what is promised, stands in [SECURITY.md](../SECURITY.md), *Time*.

**The measurement.** One attacker, a registered client on the gateway's own machine with no network in between, on one
connection to one server process over real HTTP and PostgreSQL. It asks two questions whose answers are the same bytes,
one with matches that the policy hides and one without any, in pairs, in an order drawn at random within each pair.
None against none, from the same run, shows what the machine's own noise comes to.

**The statistics, and the thresholds, which were stated before anything was measured.**

- *One sample*: the AUC, how often an answer with a hidden match takes longer than one without (0.5 is guessing), with
  its 95 % interval (bootstrap). Not told apart at one sample: the whole interval within 0.5 ± {ONE_SAMPLE}.
- *Best threshold*: the advantage of the best single threshold, right alarms less false ones (Kolmogorov-Smirnov).
- *p*: Mann-Whitney, two-sided. Whether *anything* can be told from all samples together.
- *Blocks*: of {" and ".join(map(str, BLOCKS))} pairs, by the medians of a block: how often the one with the hidden
  match is the longer one. Told apart: outside the interval in which 99 % of guessers end.
- *Needed*: samples of each kind for a guess that is right in 95 of 100, by the farther end of the AUC's interval if
  each sample adds as much as the first; and how long that takes at {A_MINUTE} requests a minute, `GATEWAY_CLIENT_LIMIT`
  as shipped. Where the interval holds 0.5 this is a lower bound on the effort: nothing was shown to work at all."""


def _machine(machine: Machine) -> str:
    return (
        f"Measured on {datetime.now(UTC).date()} on {machine.processors} processors ({platform.machine()}), load "
        f"{machine.least_load:.1f} to {machine.most_load:.1f}, part of it other work on the same machine; Python "
        f"{platform.python_version()}. {machine.arrests:,} invented arrests, {machine.visible:,} of them visible by a "
        "rule with two `exists`, and planted ones: 1,000 hidden namesakes, and a hidden arrest with 2,000 charges."
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
        blocks = " | ".join(
            f"{share.right:.0%} of {share.blocks:,} (guessing: ±{share.guessing:.0%})" for share in found.shares
        )
        yield (
            f"| {each.title} | {found.samples:,} | {found.medians[0]:.3f}, {found.medians[1]:.3f} | {found.spread:.3f} "
            f"| {found.auc:.3f} ({found.interval[0]:.3f} to {found.interval[1]:.3f}) "
            f"| {noise.auc:.3f} ({noise.interval[0]:.3f} to {noise.interval[1]:.3f}) | {found.advantage:.3f} "
            f"| {_p(found.probability)} | {blocks} | {_needed(found)} "
            f"| {'not told apart' if found.within else '**told apart**'} |"
        )


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _needed(found: Telling) -> str:
    minutes = 2 * found.needed / A_MINUTE
    took = (
        f"{60 * minutes:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    )
    least = "at least " if found.interval[0] <= 0.5 <= found.interval[1] else ""
    return f"{least}{found.needed:,.0f} ({took})"
