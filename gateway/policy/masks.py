"""Masks: the forms in which a value is shown less precisely than it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import assert_never
from zoneinfo import ZoneInfo

from gateway.catalogue import Field, Resource
from gateway.domains import YEARS, Domain, Kind
from gateway.policy.days import YEAR, number
from gateway.strict_yaml import FileError, Text

BAND = 10
OLDEST = 350
BANDS = Domain(
    Kind.CODE,
    most=len("340-349"),
    codes=tuple(f"{low}-{low + BAND - 1}" for low in range(0, OLDEST, BAND)),
)
LAST = 4


class Form(StrEnum):
    """The kinds of mask."""

    YEAR = "year"
    AGE_BAND = "age-band"
    FIRST_LETTER = "first-letter"
    LAST_FOUR = "last-four"
    PSEUDONYM = "pseudonym"
    OTHER_FIELD = "other-field"


_MASKS: dict[Form, tuple[Kind, ...]] = {
    Form.YEAR: (Kind.DATE,),
    Form.AGE_BAND: (Kind.DATE,),
    Form.FIRST_LETTER: (Kind.TEXT,),
    Form.LAST_FOUR: (Kind.TEXT,),
    Form.PSEUDONYM: (Kind.TEXT,),
}


@dataclass(frozen=True, slots=True)
class Mask:
    """A form; `field` is the one that is shown in the masked one's place, or on whose day an age is counted."""

    form: Form
    field: str = ""

    @property
    def name(self) -> str:
        """The mask's name in documents and answers: that of the form, or of the field that is shown instead."""
        return self.field if self.form is Form.OTHER_FIELD else self.form.value

    def domain(self, resource: Resource) -> Domain:
        """Return which values the form has."""
        match self.form:
            case Form.YEAR:
                return YEARS
            case Form.AGE_BAND:
                return BANDS
            case Form.FIRST_LETTER:
                return Domain(Kind.TEXT, most=1)
            case Form.LAST_FOUR:
                return Domain(Kind.TEXT, most=LAST)
            case Form.PSEUDONYM:
                return Domain(Kind.KEY)
            case Form.OTHER_FIELD:
                return resource.fields[self.field].domain
            case _:
                assert_never(self.form)


def read(text: Text, path: str, field: Field) -> Mask:
    """Read a mask that a rule puts on a path; raise FileError where it does not fit the field."""
    own = "." not in path
    if own and text.value in field.coarser:
        return Mask(Form.OTHER_FIELD, text.value)
    forms = tuple(form.value for form in _MASKS)
    form = Form(text.one_of((*forms, *field.coarser)))
    if field.domain.kind not in _MASKS[form]:
        kinds = " or ".join(_MASKS[form])
        raise FileError(text.place, f"'{form}' masks a {kinds}, and '{path}' is none")
    if form is not Form.AGE_BAND:
        return Mask(form)
    if not own or not field.age_at:
        raise FileError(text.place, f"the catalogue does not say on which day ages by '{path}' are counted ('age_at')")
    return Mask(form, field.age_at)


def forms(path: str, field: Field) -> tuple[Mask, ...]:
    """Return the masks that a rule can put on a path."""
    own = "." not in path
    fitting = (
        Mask(form, field.age_at if form is Form.AGE_BAND else "")
        for form, kinds in _MASKS.items()
        if field.domain.kind in kinds and (form is not Form.AGE_BAND or (own and field.age_at))
    )
    return (*fitting, *(Mask(Form.OTHER_FIELD, other) for other in field.coarser if own))


def words(path: str, field: Field) -> tuple[str, ...]:
    """Return what `read` accepts for a path."""
    return tuple(mask.name for mask in forms(path, field))


def shown_as(mask: Mask, value: object, record: Mapping[str, object], zone: ZoneInfo) -> object:
    """Return the form of a value: the reference reading, which the SQL must agree with.

    Of a text that is no longer than its form, nothing is shown. A pseudonym is made of the value where it is rendered.
    """
    match mask.form, value:
        case Form.OTHER_FIELD, _:
            return record[mask.field]
        case _, None:
            return None
        case Form.YEAR, date():
            return value.year
        case Form.AGE_BAND, date():
            return _band(value, record[mask.field], zone)
        case Form.FIRST_LETTER, str():
            return value[0] if len(value) > 1 else None
        case Form.LAST_FOUR, str():
            return value[-LAST:] if len(value) > LAST else None
        case _:
            return value


def _band(born: date, at: object, zone: ZoneInfo) -> str | None:
    day = at.astimezone(zone).date() if isinstance(at, datetime) else at
    if not isinstance(day, date) or day < born:
        return None
    low = (number(day) - number(born)) // YEAR // BAND * BAND
    return f"{low}-{low + BAND - 1}"
