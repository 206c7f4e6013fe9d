"""What a policy comes to in the small city: judged from its rules, one record at a time, and knowing nothing of SQL.

The rules are read here as design says them, not as views are composed of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.access import Instrument
from gateway.catalogue import Catalogue
from gateway.domains import Scalar
from gateway.policy.bundle import Bundle
from gateway.policy.condition import RECORD, TRUE
from gateway.policy.days import on_day
from gateway.policy.document import Rule
from gateway.policy.evaluate import Facts, evaluate
from gateway.policy.masks import Form, Mask
from tests.policy.small import Case, Defect, Row

ZONE = ZoneInfo("America/New_York")


def _clean(row: Row) -> Row:
    return {name: None if isinstance(value, Defect) else value for name, value in row.items()}


def facts(record: Case, instruments: tuple[Instrument, ...]) -> Facts:
    """Return what a condition is judged on; a defect is a null."""
    clean: dict[str, object] = {**_clean(record.values), "person": record.person}
    clean["verdict"] = None if record.verdict is None else _clean(record.verdict)
    clean["counts"] = tuple(_clean(row) for row in record.counts)
    return Facts({RECORD: clean}, instruments)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a view holds of a record: what is withheld from it is not here.

    `compared` are the cells at the precision at which they can be filtered and sorted, `compared_rows` those of related
    rows; `related` and `compared_rows` are None where there are more rows than a record can show. `because` names the
    rules by which fields are masked or withheld here, and `standings` says of every field how it stands.
    """

    id: int
    person: int | None
    cells: dict[str, Scalar | None] = field(default_factory=dict)
    compared: dict[str, Any] = field(default_factory=dict)
    related: dict[str, tuple[Row, ...] | None] = field(default_factory=dict)
    present: dict[str, bool] = field(default_factory=dict)
    pointer: str = ""
    because: dict[str, str] = field(default_factory=dict)
    compared_rows: dict[str, tuple[Row, ...] | None] = field(default_factory=dict)
    standings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Law:
    """The rules of a bundle that concern reading cases, on a day."""

    rules: tuple[Rule, ...]
    catalogue: Catalogue
    day: date

    @property
    def permits(self) -> tuple[Rule, ...]:
        """The permits."""
        return tuple(rule for rule in self.rules if rule.permits)

    @property
    def denials(self) -> tuple[Rule, ...]:
        """The denials."""
        return tuple(rule for rule in self.rules if not rule.permits)

    def judge(self, rule: Rule, given: Facts) -> bool | None:
        """Judge a rule's rows."""
        return evaluate(on_day(rule.rows, self.day, self.catalogue.time_zone), given)

    def mask_of(self, path: str) -> Mask | None:
        """Return the one form that rules give a field."""
        return next((rule.masks[path] for rule in self.rules if path in rule.masks), None)

    def withholding(self, path: str) -> list[Rule]:
        """Return the denials of a field, or of the one that is shown in its place."""
        mask = self.mask_of(path)
        other = mask.field if mask is not None and mask.form is Form.OTHER_FIELD else path
        return [rule for rule in self.denials if path in rule.fields or other in rule.fields]

    def holds(self, path: str) -> bool:
        """Whether the field can be seen in some record, in whatever form."""
        given = any(path in rule.fields or path in rule.masks for rule in self.permits)
        return given and all(rule.rows != TRUE for rule in self.withholding(path))

    def masks(self, path: str) -> bool:
        """Whether some record may show a form of the field: not where permits show it in full in every record."""
        if any(path in rule.masks for rule in self.denials):
            return True
        return not self._given_everywhere(path) and any(path in rule.masks for rule in self.permits)

    def shows(self, path: str) -> bool:
        """Whether every record shows the field in full."""
        return self._given_everywhere(path) and not self.withholding(path) and not self.masks(path)

    def _given_everywhere(self, path: str) -> bool:
        full = {rule.rows for rule in self.permits if path in rule.fields}
        return TRUE in full or (bool(full) and full >= {rule.rows for rule in self.permits})


def law(bundle: Bundle, day: date) -> Law:
    """Take the rules of the bundle's only document."""
    (document,) = bundle.documents.values()
    return Law(document.rules, bundle.catalogue, day)


def see(rules: Law, records: Sequence[Case], instruments: tuple[Instrument, ...]) -> list[Seen]:
    """Return what is seen of all records, judged one by one."""
    return [seen for record in records for seen in _seen(rules, record, facts(record, instruments))]


def _seen(rules: Law, record: Case, given: Facts) -> Iterator[Seen]:
    verdicts = {rule: rules.judge(rule, given) for rule in rules.rules}
    matching = [rule for rule in rules.permits if verdicts[rule] is True]
    closed = [rule for rule in rules.denials if rule.denies_rows and verdicts[rule] is not False]
    if not matching or closed:
        return
    resource = rules.catalogue.resources["cases"]
    pointer = "" if any(not rule.pointer for rule in matching) else matching[0].pointer
    seen = Seen(record.id, record.person, pointer=pointer)
    related: dict[str, list[Row]] = {}
    compared: dict[str, list[Row]] = {}
    for path, _ in resource.paths():
        standing, rule = _standing(rules, path, verdicts)
        seen.standings[path] = standing
        if standing != "shown":
            seen.because[path] = rule
        if standing == "withheld":
            continue
        relation, _, name = path.rpartition(".")
        mask = rules.mask_of(path)
        form = mask if standing == "masked" else None
        if relation and resource.relations[relation].many:
            rows = related.setdefault(relation, [{} for _ in record.counts])
            others = compared.setdefault(relation, [{} for _ in record.counts])
            for row, other, source in zip(rows, others, record.counts, strict=True):
                value = _clean(source)[name]
                row[name] = _form(form, value, given)
                other[name] = row[name] if form else _compared(rules, path, mask, value, given)
            continue
        if relation:
            seen.present[relation] = record.verdict is not None
        value = _value(given, relation, name)
        seen.cells[path] = _form(form, value, given)
        seen.compared[path] = seen.cells[path] if form else _compared(rules, path, mask, value, given)
    for name, rows in related.items():
        known = len(rows) <= resource.relations[name].at_most
        seen.related[name] = tuple(rows) if known else None
        seen.compared_rows[name] = tuple(compared[name]) if known else None
    yield seen


def _value(given: Facts, relation: str, name: str) -> Any:
    source: Any = given.variables[RECORD]
    if relation:
        source = source[relation]
    return None if source is None else source[name]


def _compared(rules: Law, path: str, mask: Mask | None, value: Any, given: Facts) -> Any:
    """Compare a value that is shown: where other rows show a form, in the form, and in no form made of other fields."""
    if not _mixed(rules, path) or mask is None:
        return value
    return None if mask.form in (Form.OTHER_FIELD, Form.AGE_BAND) else _form(mask, value, given)


def _mixed(rules: Law, path: str) -> bool:
    """Whether some row may show the field itself, and some row a form of it: then all are compared in it."""
    return any(path in rule.fields for rule in rules.permits) and rules.masks(path)


def _standing(rules: Law, path: str, verdicts: Mapping[Rule, bool | None]) -> tuple[str, str]:
    withholding = rules.withholding(path)
    for rule in withholding:
        if rule.rows == TRUE:
            return "withheld", rule.name
    giving = [rule for rule in rules.permits if verdicts[rule] is True]
    if not any(path in rule.fields or path in rule.masks for rule in giving):
        return "withheld", "default"
    for rule in withholding:
        if verdicts[rule] is not False:
            return "withheld", rule.name
    coarse = [rule for rule in rules.denials if path in rule.masks and verdicts[rule] is not False]
    if not coarse and any(path in rule.fields for rule in giving):
        return "shown", ""
    return "masked", [*coarse, *(rule for rule in giving if path in rule.masks)][0].name


def _form(mask: Mask | None, value: Any, given: Facts) -> Any:
    """Return a value in a form; an oracle of its own, beside the one that is tested."""
    if mask is None:
        return value
    record: Any = given.variables[RECORD]
    match mask.form:
        case Form.OTHER_FIELD:
            return record[mask.field]
        case Form.YEAR:
            return None if value is None else value.year
        case Form.AGE_BAND:
            return _band(value, record["at"])
        case Form.FIRST_LETTER:
            return value[:1] if value and len(value) >= 2 else None
        case Form.LAST_FOUR:
            return value[len(value) - 4 :] if value and len(value) >= 5 else None
        case Form.PSEUDONYM:
            return value


def _band(born: date | None, at: datetime | None) -> str | None:
    """Count birthdays, one year after the other."""
    if born is None or at is None or at.astimezone(ZONE).date() < born:
        return None
    day, age = at.astimezone(ZONE).date(), 0
    while (born.year + age + 1, born.month, born.day) <= (day.year, day.month, day.day):
        age += 1
    return f"{age // 10}0-{age // 10}9" if age >= 10 else "0-9"
