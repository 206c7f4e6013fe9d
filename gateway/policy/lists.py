"""Named lists that conditions refer to: each a file with its source, its members, and what it leaves out."""

from dataclasses import dataclass
from pathlib import Path

from gateway.strict_yaml import FileError, Text, read_file

KINDS = ("words", "statutes")
CONFIDENCE = ("high", "medium", "low", "unconfirmed")


@dataclass(frozen=True, slots=True)
class NamedList:
    """Values that are members, and for a list of statutes also whole sections (as prefixes of their subsections).

    `conditional` entries hold only where a further fact does (a grade, an underlying offence). They are recorded so
    that a reader sees them, and match nothing.
    """

    name: str
    values: tuple[str, ...]
    prefixes: tuple[str, ...]
    conditional: tuple[str, ...]


def load(path: Path, root: Path) -> tuple[NamedList, bytes]:
    """Read one list; return it with the file's bytes; raise FileError."""
    top, content = read_file(path, root)
    top.closed(
        required=("list", "title", "kind", "source", "confidence", "members"),
        optional=("sections", "conditional", "interpretation"),
    )
    top.text("kind").one_of(KINDS)
    top.text("confidence").one_of(CONFIDENCE)
    name = top.text("list")
    if name.value != path.stem or not name.value.replace("-", "_").isidentifier():
        raise FileError(name.place, f"the list must be named as its file, '{path.stem}', in words and hyphens")
    sections = top.texts("sections")
    return (
        NamedList(
            name=name.value,
            values=_distinct((*top.texts("members"), *sections)),
            prefixes=tuple(f"{section.value}." for section in sections),
            conditional=tuple(item.value for item in top.texts("conditional")),
        ),
        content,
    )


def _distinct(members: tuple[Text, ...]) -> tuple[str, ...]:
    seen: set[str] = set()
    for member in members:
        if member.value in seen:
            raise FileError(member.place, f"'{member.value}' stands here twice")
        seen.add(member.value)
    return tuple(sorted(seen))
