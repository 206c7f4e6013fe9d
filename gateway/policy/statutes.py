"""Statutes: one offence has several spellings, `18 § 2702 §§ A1`, `18.2702.A1` and `CC2702A1`.

A text that is none of these is no statute: whether it names an offence is unknown.
"""

import re
from dataclasses import dataclass

# Pennsylvania's Crimes Code is title 18, and the only title that the short spelling is used for.
_CRIMES_CODE = "18"
_SECTION = r"(?P<section>[0-9](?:[0-9.-]*[0-9])?)"
_DOTTED = re.compile(rf"(?P<title>[0-9]+)\.{_SECTION}(?:\.(?P<subsection>[A-Z].*))?", re.DOTALL)
_SIGNS = re.compile(rf"(?P<title>[0-9]+) § {_SECTION}(?: §§ (?P<subsection>[A-Z].*))?", re.DOTALL)
_SHORT = re.compile(rf"CC{_SECTION}(?P<subsection>[A-Z].*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Statute:
    """An offence by title, section and subsection; without a subsection, a section as such."""

    title: str
    section: str
    subsection: str | None

    def spellings(self) -> tuple[str, ...]:
        """Return every spelling."""
        return tuple(stem + (mark + self.subsection if self.subsection else "") for stem, mark in self._stems())

    def ranges(self) -> tuple[tuple[str, str], ...]:
        """Return, for each spelling of a section, the range `low <= text < high` that holds its subsections."""
        # A subsection starts with a capital letter; `[` is what follows `Z`.
        return tuple((f"{stem}{mark}A", f"{stem}{mark}[") for stem, mark in self._stems())

    def _stems(self) -> tuple[tuple[str, str], ...]:
        """Return each spelling of the section, and what parts it from a subsection."""
        stems = ((f"{self.title}.{self.section}", "."), (f"{self.title} § {self.section}", " §§ "))
        return (*stems, (f"CC{self.section}", "")) if self.title == _CRIMES_CODE else stems


def parse(text: str) -> Statute | None:
    """Read a statute in any of its spellings; None for whatever else."""
    for spelling in (_DOTTED, _SIGNS, _SHORT):
        found = spelling.fullmatch(text)
        if found is not None:
            parts = found.groupdict()
            return Statute(parts.get("title", _CRIMES_CODE), parts["section"], parts["subsection"])
    return None


# The same three shapes for PostgreSQL, whose `.` matches a line's end and whose `$` only the text's.
READABLE = (
    r"^([0-9]+\.[0-9]([0-9.-]*[0-9])?(\.[A-Z].*)?"
    r"|[0-9]+ § [0-9]([0-9.-]*[0-9])?( §§ [A-Z].*)?"
    r"|CC[0-9]([0-9.-]*[0-9])?([A-Z].*)?)$"
)
