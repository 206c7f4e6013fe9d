"""What several commands take: words of one printable line, no longer than the store can hold, and keys."""

import click

from gateway.activation.statement import MAX_BECAUSE, is_line
from gateway.domains import KEYS


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


AGENCY = Line("an agency", 60)
COMPONENT = Line("a component", 60)
ADDRESS = Line("an address", 300)
OFFICER = Line("an officer", 60)
DATA_KEY = click.IntRange(*KEYS)
REASON = Line("a reason", MAX_BECAUSE)
