"""Named lists that conditions refer to: each a file with its source, its members, and what it leaves out."""

from dataclasses import dataclass
from pathlib import PurePath

from gateway.policy import statutes
from gateway.policy.statutes import Statute
from gateway.strict_yaml import FileError, Mapping, Text, as_mapping, read

MAX_MEMBERS = 1000
CONFIDENCE = ("high", "medium", "low", "unconfirmed")


@dataclass(frozen=True, slots=True)
class Words:
    """A list of texts, compared as they are."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Graded:
    """Statutes and sections that are members only where the offence carries one of the grades."""

    statutes: tuple[Statute, ...]
    sections: tuple[Statute, ...]
    grades: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Offences:
    """A list of statutes, compared in whatever spelling: single ones, whole sections, and some by their grade.

    `conditional` entries depend on a fact that no record holds (such as the offence that was conspired to). They are
    recorded so that a reader sees them, and match nothing.
    """

    name: str
    statutes: tuple[Statute, ...]
    sections: tuple[Statute, ...]
    graded: tuple[Graded, ...]
    conditional: tuple[str, ...]


NamedList = Words | Offences


def load(content: bytes, file: str) -> NamedList:
    """Read one list; raise FileError."""
    top = read(content, file)
    top.closed(
        required=("list", "title", "kind", "source", "confidence", "members"),
        optional=("sections", "graded", "conditional", "interpretation"),
    )
    kind = top.text("kind").one_of(("words", "statutes"))
    top.text("confidence").one_of(CONFIDENCE)
    name = top.text("list")
    if name.value != PurePath(file).stem or not name.value.replace("-", "_").isidentifier():
        raise FileError(
            name.place, f"the list must be named as its file, '{PurePath(file).stem}', in words and hyphens"
        )
    return (_words if kind == "words" else _offences)(top, name.value)


def _words(top: Mapping, name: str) -> Words:
    for key in ("sections", "graded", "conditional"):
        if key in top.items:
            raise FileError(top.keys[key], f"'{key}' belongs to a list of statutes")
    members = top.texts("members")
    _bounded(top, "members", members)
    _refuse_twice(members, tuple(member.value for member in members))
    return Words(name, tuple(sorted(member.value for member in members)))


def _offences(top: Mapping, name: str) -> Offences:
    return Offences(
        name=name,
        statutes=_statutes(top, "members"),
        sections=_sections(top, "sections"),
        graded=tuple(_graded(as_mapping(item)) for item in top.sequence("graded")),
        conditional=tuple(item.value for item in top.texts("conditional")),
    )


def _graded(spec: Mapping) -> Graded:
    spec.closed(required=("grades",), optional=("members", "sections"))
    found = Graded(
        _statutes(spec, "members"), _sections(spec, "sections"), tuple(text.value for text in spec.texts("grades"))
    )
    if not found.statutes and not found.sections:
        raise FileError(spec.place, "'members' or 'sections' must say which statutes these grades are meant for")
    return found


def _statutes(spec: Mapping, key: str) -> tuple[Statute, ...]:
    texts = spec.texts(key)
    _bounded(spec, key, texts)
    found = tuple(statute(text) for text in texts)
    _refuse_twice(texts, found)
    return found


def _sections(spec: Mapping, key: str) -> tuple[Statute, ...]:
    found = _statutes(spec, key)
    for section, text in zip(found, spec.texts(key), strict=True):
        if section.subsection is not None:
            raise FileError(text.place, f"'{text.value}' is a subsection; it belongs to 'members'")
    return found


def statute(text: Text) -> Statute:
    """Read a statute that a document writes; raise FileError for what is none."""
    found = statutes.parse(text.value)
    if found is None:
        raise FileError(text.place, f"'{text.value}' is no statute; write it like 18.2702.A1")
    return found


def _bounded(top: Mapping, key: str, texts: tuple[Text, ...]) -> None:
    """Refuse more than a database can be asked for in one statement, of which a view may hold several."""
    if len(texts) > MAX_MEMBERS:
        raise FileError(top.keys[key], f"a list may have {MAX_MEMBERS} '{key}'")


def _refuse_twice(texts: tuple[Text, ...], values: tuple[object, ...]) -> None:
    seen: set[object] = set()
    for text, value in zip(texts, values, strict=True):
        if value in seen:
            raise FileError(text.place, f"'{text.value}' stands here twice")
        seen.add(value)
