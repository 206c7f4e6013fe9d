"""Makes the delayed, banded public extract: one line an entry, telling of each no more than the report tells.

Why so:
- It stands on the report's own figures. A request that the report tells with its whole cell has a line with purpose,
  decision, rules and bands; one that the report tells in a remainder has a line with what is told of that remainder,
  and nothing else. So the extract can't be subtracted from the report. Lines of an extract that left small groups out
  by a rule of its own could be: the report's sum less the lines is the group.
- The day stands in the lines of an agency and purpose only if in each month of the quarter they have no request or the
  threshold's number of them. Else all of them carry the quarter alone: were one month left out, it could be computed.
- The bundle goes with the day, for the days on which a bundle was in force are public.
- Whole quarters only, and each from the checkpoint of its report: a quarter's lines never change, and two extracts that
  were made on two days can't be subtracted from one another.
- Lines are sorted by what they say; their order in the log is not told.
- No ids, clients, ORIs, components, codes or times: nothing that joins a line to an entry, an answer or a person.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gateway.errors import ConfigurationError
from gateway.inspection import spreadsheet
from gateway.report.counting import CUTS, Cell, cell_of, count, plain, rules_of
from gateway.report.export import Export, Lost, Read
from gateway.report.publication import groups
from gateway.report.quarters import Quarter, quarter_of, time_zone
from gateway.report.telling import Key, place

LEAST_DELAY = 90
_WHOLE = len(Cell._fields)
_ABSENT = "(none)"


class Line(NamedTuple):
    """What is told of one entry: a part that is None is not told."""

    quarter: str
    day: str | None = None
    agency: str | None = None
    action: str = "read"
    purpose: str | None = None
    decision: str | None = None
    outcome: str | None = None
    rules: tuple[str, ...] | None = None
    records: str | None = None
    persons: str | None = None
    requests: int = 1
    bundle: str | None = None


@dataclass(frozen=True, slots=True)
class Extract:
    """The lines of some quarters, each with how often it stands there; of a rehearsal, if one entry is of one."""

    quarters: tuple[Quarter, ...]
    lines: tuple[tuple[Line, int], ...]
    rehearsal: bool

    def files(self) -> dict[str, Iterator[bytes]]:
        """Return the extract's files by their names, piece by piece."""
        name = "extract-of-rehearsals" if self.rehearsal else "extract"
        return {f"{name}.csv": self._csv(), f"{name}.ndjson": self._ndjson()}

    def _csv(self) -> Iterator[bytes]:
        yield spreadsheet.line(Line._fields).encode()
        for line, number in self.lines:
            told = (", ".join(part) if isinstance(part, tuple) else part for part in line)
            yield spreadsheet.line(told).encode() * number

    def _ndjson(self) -> Iterator[bytes]:
        for line, number in self.lines:
            told = {name: part for name, part in line._asdict().items() if part is not None}
            yield (json.dumps(told, ensure_ascii=False) + "\n").encode() * number


def extract(export: Export, zone_name: str, threshold: int, delay: int) -> Extract:
    """Make the extract of all quarters of which the log has an entry of `delay` days or more after their ends.

    Raise ConfigurationError or FileError.
    """
    zone = time_zone(zone_name)
    quarters = _quarters(export, zone, timedelta(days=delay))
    if not quarters:
        raise ConfigurationError(
            f"{export.directory}: no quarter with requests ended {delay} days before the log's newest entry"
        )
    lines: list[tuple[Line, int]] = []
    rehearsal = False
    for each in quarters:
        found, rehearsed = _lines(export, each, zone, threshold)
        lines += sorted(found.items(), key=lambda item: [json.dumps(part) for part in item[0]])
        rehearsal |= rehearsed
    return Extract(tuple(quarters), tuple(lines), rehearsal)


def _quarters(export: Export, zone: ZoneInfo, delay: timedelta) -> list[Quarter]:
    asked = set()
    newest = None
    for item in export.leaves():
        if not isinstance(item, Lost):
            newest = max(newest or item[1], item[1])
            if isinstance(item[0], Read):
                asked.add(quarter_of(item[1], zone))
    return sorted(each for each in asked if newest is not None and each.ends(zone) + delay <= newest)


def band(number: int) -> str:
    """Return the power of ten in which a number lies, in words that no spreadsheet takes for a date."""
    if number == 0:
        return "0"
    least = 10 ** (len(str(number)) - 1)
    return f"{least} to {10 * least - 1}"


def _lines(export: Export, period: Quarter, zone: ZoneInfo, threshold: int) -> tuple[Counter[Line], bool]:
    tally = count(export, period, zone)
    told: dict[Key, int] = {group.key: group.requests for group in groups(tally, threshold)}
    begins, ends = period.begins(zone), period.ends(zone)

    def reads() -> Iterator[tuple[Read, datetime, Key]]:
        """Yield the requests that are told, with their local time and the key under which they are."""
        for item in islice(export.leaves(), tally.checkpoint.size):
            if not isinstance(item, Lost) and isinstance(item[0], Read) and begins <= item[1] < ends:
                key = place(cell_of(item[0]), told, CUTS)
                if key is not None:
                    yield item[0], item[1].astimezone(zone), key

    months: defaultdict[Key, Counter[int]] = defaultdict(Counter)
    for read, moment, key in reads():
        if len(key) == _WHOLE:
            months[_asked(key)][moment.month] += read.further
    daily = {asked for asked, counts in months.items() if min(counts.values()) >= threshold}
    lines: Counter[Line] = Counter()
    for read, moment, key in reads():
        line = _line(period, read, moment, key, daily)
        if len(key) == _WHOLE:
            lines[line] += 1
        else:  # how many requests one entry stands for would tell of a cell that is not told
            lines[line._replace(requests=1)] += read.further
    return lines, tally.rehearsal


def _line(period: Quarter, read: Read, moment: datetime, key: Key, daily: set[Key]) -> Line:
    line = Line(str(period), requests=read.further)
    if key:
        line = line._replace(agency=_word(key[0]))
    if len(key) > 1:
        line = line._replace(outcome=_word(key[1]), purpose=_word(key[2]))
    if len(key) == _WHOLE:
        line = line._replace(
            decision=read.decision, rules=rules_of(read), records=band(read.records), persons=band(read.persons)
        )
        if _asked(key) in daily:
            line = line._replace(day=moment.date().isoformat(), bundle=plain(read.bundle))
    return line


def _asked(key: Key) -> Key:
    """Return agency and purpose."""
    return (key[0], key[2])


def _word(part: object) -> str:
    return _ABSENT if part is None else str(part)
