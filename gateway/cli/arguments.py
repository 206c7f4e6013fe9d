"""What several commands take: words of one printable line, no longer than the store can hold, and keys."""

from datetime import datetime

import click

from gateway.activation.statement import MAX_BECAUSE, is_line
from gateway.domains import DATES, KEYS


class Line(click.ParamType[str]):
    """One line of text, of at most so many characters."""

    name = "TEXT"

    def __init__(self, what: str, most: int) -> None:
        self._what = what
        self._most = most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take a line as it stands."""
        text = str(value)
        if not is_line(text, self._most):
            self.fail(f"{self._what} is one line of at most {self._most} characters", param, ctx)
        return text


class _Day(click.DateTime):
    """A calendar day, of a year that dates of the store and of policies can have."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        day: datetime = super().convert(value, param, ctx)
        if not DATES[0] <= day.date() <= DATES[1]:
            self.fail(f"a day is from {DATES[0]} to {DATES[1]}", param, ctx)
        return day


DAY = _Day(["%Y-%m-%d"])
AGENCY = Line("an agency", 60)
COMPONENT = Line("a component", 60)
ADDRESS = Line("an address", 300)
OFFICER = Line("an officer", 60)
TEXT = Line("a text's name", 100)
SIGNER = Line("a signer", 100)
DATA_KEY = click.IntRange(*KEYS)
REASON = Line("a reason", MAX_BECAUSE)
