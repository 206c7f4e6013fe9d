"""By what entries are searched: words of the leaf, moments, rules, fields, and names behind the keyed index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa

from gateway import tables
from gateway.audit import entry as entries
from gateway.audit.openings import Openings
from gateway.canonical import Json
from gateway.domains import key_of
from gateway.errors import ConfigurationError
from gateway.store import Store

# The words of a leaf that stand beside its hash, each with its column.
WORDS = ("client", "agency", "purpose", "decision", "outcome", "action")
# How an entry can have to do with a field, by the leaf's members.
WAYS = ("shown", "masked", "varying", "withheld", "filtered", "sorted_by")
MOST_WORD = 200
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


Leaf = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Word:
    """The leaf has this word under this name, which is one of WORDS."""

    name: str
    value: str

    def __post_init__(self) -> None:
        """Refuse what no leaf can hold."""
        _check(self.name, self.value)


@dataclass(frozen=True, slots=True)
class Ruled:
    """The rule took part in the decision."""

    rule: str

    def __post_init__(self) -> None:
        """Refuse what no leaf can hold."""
        _check("rule", self.rule)

    def holds(self, leaf: Leaf) -> bool:
        """Whether a leaf names the rule."""
        return self.rule in leaf.get("rules", ())


@dataclass(frozen=True, slots=True)
class Touched:
    """The field was shown, masked, withheld, filtered or sorted by: in one of these ways."""

    field: str
    ways: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what no leaf can hold."""
        _check("field", self.field)

    def holds(self, leaf: Leaf) -> bool:
        """Whether a leaf names the field in one of the ways."""
        return any(self.field in leaf.get(way, ()) for way in self.ways)


@dataclass(frozen=True, slots=True)
class Since:
    """At a moment or after it."""

    moment: datetime


@dataclass(frozen=True, slots=True)
class Before:
    """Before a moment."""

    moment: datetime


@dataclass(frozen=True, slots=True)
class About:
    """The sealed part is about a person, an officer or a record: `name` is what the keyed index knows it by."""

    name: str
    told: Mapping[str, str]


Criterion = Word | Ruled | Touched | Since | Before | About


def touched(text: str) -> Touched:
    """Read FIELD, or WAY:FIELD for one way alone."""
    way, parted, field = text.partition(":")
    if not parted:
        return Touched(text, WAYS)
    if way not in WAYS:
        raise ConfigurationError(f"'{way}' is no way in which a field is touched: {', '.join(WAYS)}")
    return Touched(field, (way,))


def person(key: int) -> About:
    """Seek entries that are about a person of the arrest database."""
    return About(entries.person(key), {"person": str(key)})


def officer(name: str) -> About:
    """Seek entries of an officer: one whom a client named, or one of the city's."""
    _check("officer", name)
    return About(entries.officer(name), {"officer": name})


def record(text: str) -> About:
    """Seek entries that name a record, given as RESOURCE:KEY."""
    resource, _, key = text.rpartition(":")
    if not resource or key_of(key) is None:
        raise ConfigurationError("a record is given as RESOURCE:KEY, such as arrests:17")
    _check("record", resource)
    return About(entries.record(resource, key), {"resource": resource, "key": key})


def moment(text: str, zone: ZoneInfo) -> datetime:
    """Read a day of the city, which is its first moment, or a moment with its offset from UTC."""
    try:
        if len(text) == len("2026-11-23"):
            read = datetime.combine(date.fromisoformat(text), time.min, zone)
        else:
            read = datetime.fromisoformat(text)
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise ConfigurationError(
            f"'{text[:MOST_WORD]}' is neither a day such as 2026-11-23 nor a moment with its offset such as "
            "2026-11-23T05:06:07Z"
        )
    if not _FIRST <= read < _LAST:
        raise ConfigurationError(f"'{text}' lies outside of the years 1970 to 2199")
    return read.astimezone(UTC)


def check_span(criteria: Sequence[Criterion]) -> None:
    """Refuse a span of time in which nothing can lie."""
    since = [each.moment for each in criteria if isinstance(each, Since)]
    before = [each.moment for each in criteria if isinstance(each, Before)]
    if since and before and max(since) >= min(before):
        raise ConfigurationError("nothing lies between --from and --until: the second is exclusive")


def conditions(criteria: Sequence[Criterion], openings: Openings, store: Store) -> list[sa.ColumnElement[bool]]:
    """Return what of the criteria the store can judge; the rest is asked of each leaf that is left (`holds`)."""
    leaf, opening = tables.leaf, tables.opening
    found: list[sa.ColumnElement[bool]] = []
    for criterion in criteria:
        match criterion:
            case Word(name, value):
                found.append(leaf.c[name] == value)
            case Since(at):
                found.append(leaf.c.time >= at.timestamp())
            case Before(at):
                found.append(leaf.c.time < at.timestamp())
            case About(name):
                column = opening.c.record if name.startswith("record:") else opening.c.about
                about = sa.select(opening.c.entry_id).where(column.in_(openings.indexes_of(name)))
                found.append(leaf.c.entry_id.in_(about))
            case Ruled(word) | Touched(word):
                found.append(_holds_bytes(msgspec.json.encode(word), store))
    return found


def _holds_bytes(word: bytes, store: Store) -> sa.ColumnElement[bool]:
    """Ask for leaves whose bytes hold a word, as JSON writes it."""
    content = tables.entry.c.leaf
    if store.sqlite:
        return sa.func.instr(content, word) > 0
    return sa.func.position(sa.literal(word, sa.LargeBinary).op("IN")(content)) > 0


def told(criterion: Word | Ruled | Touched | Since | Before) -> tuple[str, Json]:
    """Write down a criterion that is not sealed for its own sake."""
    match criterion:
        case Word(name, value):
            return name, value
        case Ruled(rule):
            return "rule", rule
        case Touched(field, ways):
            return "field", field if ways == WAYS else f"{ways[0]}:{field}"
        case Since(at):
            return "from", _written(at)
        case Before(at):
            return "until", _written(at)


def _written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _check(name: str, value: str) -> None:
    if not value or len(value) > MOST_WORD or not value.isprintable():
        raise ConfigurationError(f"--{name} must be one line of at most {MOST_WORD} characters, and not empty")
