"""Reads the YAML files that lawyers write: strictly, and with the place of every value.

Refused: duplicate keys, anchors and aliases, tags, files over 1 MiB, nesting over 30 levels, encodings other than
UTF-8, escapes that stand for no character, versions of YAML, unknown keys. Scalars are read as strings and typed by the
reader that expects them, so that a bare `no` or `2014-04-16` means what is written.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from ruamel.yaml import YAML
from ruamel.yaml.error import StreamMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_BYTES = 1 << 20
MAX_DEPTH = 30
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class FileError(Exception):
    """A file of rules that can't be accepted, with the place and what to do."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.place = place
        self.message = message


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar, its place, and for a block scalar the lines as they stand in the file."""

    place: Place
    value: str
    lines: str | None = None

    def source(self) -> str:
        """Return the text whose lines and columns `within` can place: the file's own, where it is a block."""
        return self.value if self.lines is None else self.lines

    def within(self, line: int, column: int) -> Place:
        """Place a line and column (from 1) of the source in the file."""
        if self.lines is not None:
            return Place(self.place.file, self.place.line + line, column)
        offset = self.place.column - 1 if line == 1 else 0
        return Place(self.place.file, self.place.line + line - 1, offset + column)

    def date(self) -> date:
        """Read a calendar date, `YYYY-MM-DD`."""
        try:
            # Python's own reader takes weeks and days of the year as well.
            return date.fromisoformat(self.value if _DATE.fullmatch(self.value) else "")
        except ValueError:
            raise FileError(self.place, f"'{self.value}' is not a date of the form YYYY-MM-DD") from None

    def integer(self) -> int:
        """Read a whole number of at most 18 digits."""
        if not _INTEGER.fullmatch(self.value):
            raise FileError(self.place, f"'{self.value}' is not a whole number")
        return int(self.value)

    def boolean(self) -> bool:
        """Read `true` or `false`; YAML 1.1's yes, no, on, off are refused."""
        if self.value not in ("true", "false"):
            raise FileError(self.place, f"'{self.value}' is not true or false")
        return self.value == "true"

    def one_of(self, allowed: tuple[str, ...]) -> str:
        """Read a word of a closed vocabulary."""
        if self.value not in allowed:
            raise FileError(self.place, f"'{self.value}' is not one of {', '.join(allowed)}")
        return self.value


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list and its place."""

    place: Place
    items: "tuple[Value, ...]"

    def __iter__(self) -> "Iterator[Value]":
        return iter(self.items)


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping with string keys, its place and the places of its keys."""

    place: Place
    items: "dict[str, Value]"
    keys: dict[str, Place]

    def closed(self, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> "Mapping":
        """Refuse unknown keys and missing ones."""
        for key in self.items:
            if key not in required and key not in optional:
                known = ", ".join(required + optional)
                raise FileError(self.keys[key], f"unknown key '{key}'; known here: {known}")
        for key in required:
            if key not in self.items:
                raise FileError(self.place, f"the key '{key}' is missing")
        return self

    def text(self, key: str) -> Text:
        """Return the non-empty scalar under the key."""
        value = self.items[key]
        if not isinstance(value, Text) or not value.value.strip():
            raise FileError(self.keys[key], f"'{key}' must be a text")
        return value

    def string(self, key: str, default: str = "") -> str:
        """Return the scalar's characters, or the default where the key is absent."""
        return self.text(key).value if key in self.items else default

    def boolean(self, key: str) -> bool:
        """Return whether the key is present and true."""
        return key in self.items and self.text(key).boolean()

    def mapping(self, key: str) -> "Mapping":
        """Return the mapping under the key; an absent one is empty."""
        if key not in self.items:
            return Mapping(self.place, {}, {})
        value = self.items[key]
        if not isinstance(value, Mapping):
            raise FileError(self.keys[key], f"'{key}' must be a mapping")
        return value

    def sequence(self, key: str) -> Sequence:
        """Return the list under the key, which must not be empty; an absent one is empty."""
        if key not in self.items:
            return Sequence(self.place, ())
        value = self.items[key]
        if not isinstance(value, Sequence) or not value.items:
            raise FileError(self.keys[key], f"'{key}' must be a list with at least one member")
        return value

    def texts(self, key: str) -> tuple[Text, ...]:
        """Return the list of scalars under the key."""
        return tuple(as_text(item) for item in self.sequence(key))

    def mappings(self, key: str) -> "Iterator[tuple[str, Mapping]]":
        """Yield the members of the mapping under the key, each itself a mapping."""
        parent = self.mapping(key)
        for name in parent.items:
            yield name, parent.mapping(name)


Value = Text | Sequence | Mapping


def as_text(value: Value) -> Text:
    """Return a scalar that stands in a list."""
    if not isinstance(value, Text) or not value.value:
        raise FileError(value.place, "a text is expected here")
    return value


def as_mapping(value: Value) -> Mapping:
    """Return a mapping that stands in a list."""
    if not isinstance(value, Mapping):
        raise FileError(value.place, "a mapping is expected here")
    return value


def read(content: bytes, name: str) -> Mapping:
    """Parse one YAML document whose top is a mapping; raise FileError with file, line and column."""
    start = Place(name, 1, 1)
    if len(content) > MAX_BYTES:
        raise FileError(start, f"the file is larger than {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise FileError(start, "the file is not UTF-8") from None
    try:
        _refuse_tricks(text, name)
        node = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = start if mark is None else _place(mark, name)
        raise FileError(place, _told(str(getattr(error, "problem", None) or "not well-formed YAML"))) from None
    if not isinstance(node, MappingNode):
        raise FileError(start, "the file must hold a mapping")
    return _Reader(name, text.splitlines()).mapping(node)


def _told(problem: str) -> str:
    """Add to what the parser says what the writer may have meant."""
    hints = {
        "mapping values are not allowed": "a text with ': ' in it must stand in quotes",
        "expected <block end>": "this line is indented otherwise than those it belongs to",
        "found character '\\t'": "there is a tab; indent with spaces",
    }
    return next((f"{problem}: {hint}" for start, hint in hints.items() if problem.startswith(start)), problem)


def _refuse_tricks(text: str, name: str) -> None:
    depth = 0
    yaml = YAML(typ="safe", pure=True)
    _, parser = yaml.get_constructor_parser(text)
    while True:
        try:
            if not parser.check_event():
                return
        except (ValueError, OverflowError, IndexError):
            # The parser itself trips over an escape beyond the last character, and over a version (%YAML).
            why = "an escape stands for no character, or a directive says a version of YAML"
            raise FileError(_place(yaml.reader.get_mark(), name), why) from None
        event = parser.get_event()
        place = _place(event.start_mark, name)
        anchored = isinstance(event, NodeEvent) and event.anchor is not None
        if isinstance(event, AliasEvent) or anchored:
            raise FileError(place, "anchors and aliases are not allowed")
        if isinstance(event, (ScalarEvent, CollectionStartEvent)) and event.tag is not None:
            raise FileError(place, "tags are not allowed")
        if isinstance(event, ScalarEvent) and _SURROGATE.search(event.value):
            raise FileError(place, "an escape from \\ud800 to \\udfff is half a character; write the whole one")
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise FileError(place, f"more than {MAX_DEPTH} levels of nesting")
        if isinstance(event, CollectionEndEvent):
            depth -= 1


def _place(mark: StreamMark, name: str) -> Place:
    return Place(name, mark.line + 1, mark.column + 1)


@dataclass(frozen=True, slots=True)
class _Reader:
    name: str
    lines: list[str]

    def place(self, node: Node) -> Place:
        return _place(node.start_mark, self.name)

    def value(self, node: Node) -> Value:
        match node:
            case ScalarNode():
                return Text(self.place(node), str(node.value), self.block(node))
            case SequenceNode():
                return Sequence(self.place(node), tuple(self.value(item) for item in node.value))
            case MappingNode():
                return self.mapping(node)
            case _:
                raise FileError(self.place(node), "a text, a list or a mapping is expected here")

    def block(self, node: ScalarNode) -> str | None:
        if node.style not in ("|", ">"):
            return None
        return "\n".join(self.lines[node.start_mark.line + 1 : node.end_mark.line])

    def mapping(self, node: MappingNode) -> Mapping:
        items: dict[str, Value] = {}
        places: dict[str, Place] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise FileError(self.place(key), "a key must be a text")
            if key.value in items:
                raise FileError(self.place(key), f"the key '{key.value}' stands here twice")
            items[key.value] = self.value(value)
            places[key.value] = self.place(key)
        return Mapping(self.place(node), items, places)
