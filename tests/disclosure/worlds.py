"""Random worlds: what the databases hold, what of it one client sees, and another world in which it sees the same.

What is seen is told by `reference`, one record at a time. Behind it everything may differ.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from random import Random
from typing import Any

from gateway.access import Instrument
from gateway.catalogue import Field
from gateway.domains import Kind, Scalar
from gateway.instruments import Filed
from gateway.policy.masks import LAST, Form
from tests.disclosure.regimes import DAY, PURPOSES, Regime, cases
from tests.policy import small
from tests.policy.reference import Law, Seen, see
from tests.policy.small import Case, Defect, Row

MOST_KEYS = 60
AGENCIES = ("ICE", "FBI", "ATF")
# Long enough to have a form, and few enough to be found.
FAVOURED = ("ab", "abcde", "bbcde", "b.1")
# Until then, days can be added to a date.
FAR = 2100
PERSONS = 4


@dataclass(frozen=True, slots=True)
class Paper:
    """An instrument in the register, and whether a second officer has confirmed it."""

    filed: Filed
    confirmed: bool


@dataclass(frozen=True, slots=True)
class World:
    """What the databases hold, and what other clients ask; `dialect` says how defects are kept."""

    dialect: str
    records: tuple[Case, ...]
    papers: tuple[Paper, ...]
    others: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a client sees of a record.

    `rows` are related ones, in their order; None where there are more than an answer holds. `person` is None where
    nothing shows who it is: what is compared here must be no more than what is told.
    """

    id: int
    person: int | None
    cells: dict[str, Scalar | None]
    compared: dict[str, Any]
    rows: dict[str, tuple[Row, ...] | None]
    compared_rows: dict[str, tuple[Row, ...] | None]
    present: dict[str, bool]
    pointer: str
    because: dict[str, str]
    standings: dict[str, str]
    defects: frozenset[str]


def covering(regime: Regime, purpose: str, papers: Iterable[Paper]) -> tuple[Instrument, ...]:
    """Return the instruments that count: of the client's agency, for the purpose, confirmed, in force on the day."""
    return tuple(
        Instrument(str(number), paper.filed.person, paper.filed.kind, paper.filed.signer)
        for number, paper in enumerate(papers)
        if paper.confirmed
        and (paper.filed.agency, paper.filed.purpose) == (regime.agreement.agency, purpose)
        and paper.filed.issued_on <= DAY < paper.filed.expires_on
    )


def sights(law: Law, world: World, instruments: tuple[Instrument, ...]) -> list[Sight]:
    """Return what is seen of a world, in the order of keys."""
    found = []
    for record in sorted(world.records, key=lambda each: each.id):
        found += [_sight(law, world.dialect, record, seen) for seen in see(law, [record], instruments)]
    return found


def compared(seen: Iterable[Sight]) -> dict[str, list[Any]]:
    """Return by which values each field is compared, of records and of their related rows."""
    found: dict[str, list[Any]] = {}
    for sight in seen:
        rows = ((f"{name}.", row) for name, rows in sight.compared_rows.items() for row in rows or ())
        for start, values in (("", sight.compared), *rows):
            for path, value in values.items():
                if value is not None:
                    found.setdefault(start + path, []).append(value)
    return found


def _sight(law: Law, dialect: str, record: Case, seen: Seen) -> Sight:
    order = _order(record, known=law.shows("counts.amount"))
    return Sight(
        id=seen.id,
        person=seen.person if "person" in seen.cells else None,
        cells=seen.cells,
        compared={path: value for path, value in seen.compared.items() if path != "person"},
        rows={name: order(rows) for name, rows in seen.related.items()},
        compared_rows={name: order(rows) for name, rows in seen.compared_rows.items()},
        present=seen.present,
        pointer=seen.pointer,
        because=seen.because,
        standings=seen.standings,
        defects=frozenset(_defects(law, dialect, record, seen)),
    )


def _order(record: Case, *, known: bool) -> Callable[[tuple[Row, ...] | None], tuple[Row, ...] | None]:
    """Order related rows by amount, nulls last, where that is always seen; else, and among equals, as entered."""
    amounts = [row["amount"] if known and not isinstance(row["amount"], Defect) else None for row in record.counts]
    places = sorted(range(len(amounts)), key=lambda at: (amounts[at] is None, amounts[at] or 0, at))
    return lambda rows: None if rows is None else tuple(rows[at] for at in places)


def _defects(law: Law, dialect: str, record: Case, seen: Seen) -> Iterable[str]:
    """Yield where the answer says that the source holds no value: of what is shown in a field's place, that field's."""
    for path, standing in seen.standings.items():
        if standing == "withheld":
            continue
        relation, _, name = path.rpartition(".")
        mask, values = law.mask_of(path), [record.values]
        if standing == "masked" and mask is not None and mask.form is Form.OTHER_FIELD:
            name = mask.field
        elif relation == "verdict":
            values = [] if record.verdict is None else [record.verdict]
        elif relation == "counts":
            if len(record.counts) > cases().relations["counts"].at_most:
                yield relation
                continue
            values = list(record.counts)
        if name != "person" and any(_is_defect(row[name], path, name, dialect) for row in values):
            yield path


def _is_defect(value: object, path: str, name: str, dialect: str) -> bool:
    field = cases().field(path) if "." in path else cases().fields[name]
    # PostgreSQL's booleans hold no other value; what stands for a defect of them is a null.
    return isinstance(value, Defect) and not (dialect == "postgresql" and field.domain.kind is Kind.BOOLEAN)


# --- one world --------------------------------------------------------------------------------------------------


def world(chance: Random, dialect: str, regime: Regime) -> World:
    """A random world; keys have gaps, and some records have more related rows than an answer holds."""
    keys = chance.sample(range(1, MOST_KEYS), chance.randint(3, 8))
    return World(dialect, tuple(_case(chance, key) for key in keys), _papers(chance, regime), others_ask(chance))


def _case(chance: Random, key: int) -> Case:
    resource = cases()
    counts = [_row(chance, resource.relations["counts"].fields) for _ in range(chance.choice(_COUNTS))]
    verdict = _row(chance, resource.relations["verdict"].fields) if chance.random() < 0.7 else None
    return Case(key, chance.randint(1, PERSONS), _row(chance, resource.fields), verdict, tuple(counts))


_COUNTS = (0, 1, 1, 2, 2, 3, 3, 4, 5)


def _row(chance: Random, fields: Mapping[str, Field]) -> Row:
    return {name: _cell(chance, field) for name, field in fields.items() if name != "person"}


def _cell(chance: Random, field: Field) -> object:
    """A value; also a null or a defect, where the field may hold one."""
    value = chance.choice(small.CHOICES[field.domain.kind])
    if field.domain.kind is Kind.TEXT and chance.random() < 0.6:
        value = chance.choice(FAVOURED)
    kind = 1.0 if field.required else chance.random()
    return None if kind < 0.15 else Defect(chance.randint(0, 9)) if kind < 0.22 else value


def _papers(chance: Random, regime: Regime) -> tuple[Paper, ...]:
    papers = [paper(chance, regime.agreement.agency, purpose) for purpose in sorted(regime.agreement.purposes)]
    return (*papers, *(paper(chance, chance.choice(AGENCIES)) for _ in range(chance.randint(0, 3))))


def paper(chance: Random, agency: str, purpose: str | None = None) -> Paper:
    """A random instrument: mostly a warrant that counts."""
    days = ((date(2000, 1, 1), date(2100, 1, 1)), (date(2000, 1, 1), DAY), (DAY + timedelta(1), date(2100, 1, 1)))
    issued, expires = chance.choice((days[0], *days))
    kind = chance.choice(("judicial", "judicial", "administrative", "subpoena"))
    signer = chance.choice(("state-judge", "state-judge", "dhs-officer"))
    stated = purpose or chance.choice(PURPOSES)
    filed = Filed(chance.randint(1, PERSONS), agency, stated, kind, signer, "0" * 64, issued, expires)
    return Paper(filed, chance.random() < 0.85)


def others_ask(chance: Random) -> tuple[dict[str, Any], ...]:
    """What other clients ask, some time during the session."""
    asked: tuple[dict[str, Any], ...] = ({}, {"limit": 1}, {"limit": 2}, {"sort": ["nope"]})
    return tuple(chance.choice(asked) for _ in range(chance.randint(0, 2)))


# --- another world ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Eyes:
    """The eyes of the client, for each purpose that it may state."""

    regime: Regime
    dialect: str

    def of(self, record: Case, papers: tuple[Paper, ...]) -> list[list[Sight]]:
        world = World(self.dialect, (record,), papers, ())
        return [sights(law, world, covering(self.regime, purpose, papers)) for purpose, law in self.regime.laws.items()]


Change = Callable[[Case], Case]


def elsewhere(chance: Random, regime: Regime, world: World) -> World:
    """A world that looks the same to the client, and differs wherever it does not look."""
    eyes = _Eyes(regime, world.dialect)
    papers = _other_papers(chance, eyes, world)
    changed: list[Case] = []
    for record in world.records:
        changed += _changed(chance, eyes, papers, record, _case(chance, record.id))
    free = [key for key in range(1, MOST_KEYS) if key not in {record.id for record in world.records}]
    added = [_case(chance, key) for key in chance.sample(free, chance.randint(1, 5))]
    changed += [record for record in added if not any(eyes.of(record, papers))]
    chance.shuffle(changed)
    return World(world.dialect, tuple(changed), papers, others_ask(chance))


def _other_papers(chance: Random, eyes: _Eyes, world: World) -> tuple[Paper, ...]:
    """Change whatever instruments are not the client's, and its own where that opens or closes nothing."""
    agency = eyes.regime.agreement.agency
    strange = [each for each in AGENCIES if each != agency]
    own = [each for each in world.papers if each.filed.agency == agency]
    changed = tuple(chance.choice((own[1:], [*own, paper(chance, agency)])))
    if any(eyes.of(record, world.papers) != eyes.of(record, changed) for record in world.records):
        changed = tuple(own)
    return (*changed, *(paper(chance, chance.choice(strange)) for _ in range(chance.randint(0, 4))))


def _changed(chance: Random, eyes: _Eyes, papers: tuple[Paper, ...], record: Case, other: Case) -> list[Case]:
    """Return a record that looks the same, and as different as can be behind that; a hidden one may be gone."""
    seen = eyes.of(record, papers)
    if not any(seen):
        fate = chance.choice(("gone", "other", "other"))
        return [] if fate == "gone" else [other if not any(eyes.of(other, papers)) else record]
    standings = {path: {sight.standings[path] for found in seen for sight in found} for path, _ in cases().paths()}
    hidden = {path for path, stands in standings.items() if stands <= {"withheld"}}
    masked = {path for path, stands in standings.items() if "masked" in stands and "shown" not in stands}
    is_same = partial(_looks, eyes, papers, seen)
    record = _with(list(_behind(hidden, record, other)), record, is_same)
    return [_with(list(_alike(chance, eyes, masked, record, other)), record, is_same)]


def _looks(eyes: _Eyes, papers: tuple[Paper, ...], seen: list[list[Sight]], mixed: Case) -> bool:
    return eyes.of(mixed, papers) == seen


def _with(changes: list[Change], record: Case, is_same: Callable[[Case], bool]) -> Case:
    """Make all of the changes that leave the record looking the same: many at once, or else by halves."""
    mixed = record
    for change in changes:
        mixed = change(mixed)
    if is_same(mixed):
        return mixed
    if len(changes) <= 1:
        return record
    half = len(changes) // 2
    return _with(changes[half:], _with(changes[:half], record, is_same), is_same)


def _behind(hidden: set[str], record: Case, other: Case) -> Iterable[Change]:
    """Yield changes of what is withheld in the record."""
    if "person" in hidden:
        yield lambda mixed: replace(mixed, person=other.person)
    for name, value in other.values.items():
        if name in hidden:
            yield partial(_with_value, name=name, value=value)
    if hidden >= _VERDICT:
        yield lambda mixed: replace(mixed, verdict=other.verdict)
    elif other.verdict is not None:
        for name, value in other.verdict.items():
            if f"verdict.{name}" in hidden:
                yield partial(_with_verdict, name=name, value=value)
    if hidden >= _COUNTED:
        yield lambda mixed: replace(mixed, counts=other.counts)
        return
    for at, row in enumerate(other.counts):
        for name, value in row.items():
            if f"counts.{name}" in hidden:
                yield partial(_with_count, at=at, name=name, value=value)
    if len(record.counts) > cases().relations["counts"].at_most:
        yield lambda mixed: replace(mixed, counts=mixed.counts[:1] + mixed.counts[2:])
        yield lambda mixed: replace(mixed, counts=(*mixed.counts, *other.counts))


_VERDICT = {"verdict.grade", "verdict.born", "verdict.flag"}
_COUNTED = {"counts.grade", "counts.amount", "counts.name", "counts.cite", "counts.flag"}


def _alike(chance: Random, eyes: _Eyes, masked: set[str], record: Case, other: Case) -> Iterable[Change]:
    """Yield changes of what is shown in a form: to other values of that form, or to whatever where it is another's."""
    for law, path in ((law, path) for law in eyes.regime.laws.values() for path in sorted(masked)):
        relation, _, name = path.rpartition(".")
        mask = law.mask_of(path)
        form = None if mask is None else mask.form
        if relation == "counts":
            for at, row in enumerate(record.counts):
                yield partial(_with_count, at=at, name=name, value=_of_form(chance, form, row[name]))
        elif relation == "verdict" and record.verdict is not None:
            yield partial(_with_verdict, name=name, value=_of_form(chance, form, record.verdict[name]))
        elif not relation:
            value = other.values[name] if form is Form.OTHER_FIELD else _of_form(chance, form, record.values[name])
            yield partial(_with_value, name=name, value=value)


def _of_form(chance: Random, form: Form | None, value: Any) -> Any:
    """Return another value that has the same form."""
    match form, value:
        case Form.YEAR, date():
            return value.replace(month=chance.randint(1, 12), day=chance.randint(1, 28))
        case Form.AGE_BAND, date() if value.year < FAR:
            return value + timedelta(chance.randint(1, 400))
        case Form.FIRST_LETTER, str() if len(value) > 1:
            return value[0] + chance.choice(("a", "zz", "\U0001f600", "b.1"))
        case Form.FIRST_LETTER, str() | None:
            return chance.choice(("a", "b", ""))
        case Form.LAST_FOUR, str() if len(value) > LAST:
            return chance.choice(("q", "ab", value[-LAST])) + value[-LAST:]
        case Form.LAST_FOUR, str() | None:
            return chance.choice(("ab", "b.1", ""))
        case _:
            return value


def _with_value(record: Case, name: str, value: object) -> Case:
    return replace(record, values={**record.values, name: value})


def _with_verdict(record: Case, name: str, value: object) -> Case:
    return replace(record, verdict=None if record.verdict is None else {**record.verdict, name: value})


def _with_count(record: Case, at: int, name: str, value: object) -> Case:
    """Change a related row, if there is one at this place."""
    rows = tuple({**row, name: value} if number == at else row for number, row in enumerate(record.counts))
    return replace(record, counts=rows)
