"""What editors are told of policy documents: the schema and the loader hold each other."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway.catalogue import Catalogue
from gateway.cli import program
from gateway.policy import json_schema, masks
from gateway.policy.bundle import load
from gateway.policy.masks import Form
from gateway.strict_yaml import FileError, Mapping, Place, Sequence, Text, Value, read
from tests.policy import small
from tests.policy.test_documents import GOOD, REFUSED
from tests.world import POLICIES

SHIPPED = load(POLICIES).documents
FIRST_LINE = "# yaml-language-server: $schema=schema.json\n"


def as_editors_read(value: Value) -> Any:
    """Type scalars as YAML 1.2 does."""
    match value:
        case Mapping(_, items):
            return {key: as_editors_read(item) for key, item in items.items()}
        case Sequence(_, members):
            return [as_editors_read(member) for member in members]
        case Text(_, "true" | "false" as truth):
            return truth == "true"
        case Text(_, text):
            return int(text) if re.fullmatch("-?[0-9]+", text) else text


def errors(schema: dict[str, Any], document: str) -> list[str]:
    """Return what an editor would underline."""
    checker = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [error.message for error in checker.iter_errors(as_editors_read(read(document.encode(), "doc.yaml")))]


@pytest.fixture(scope="session")
def schema(catalogue: Catalogue) -> dict[str, Any]:
    """The small city's schema."""
    return json_schema.schema(catalogue, ("words", "offences"))


def test_the_schema_that_ships_is_that_of_the_code_and_the_catalogue() -> None:
    """It is made anew by a command, never by hand."""
    made = CliRunner().invoke(program, ["policy", "schema", "--policies", str(POLICIES)])
    assert made.exit_code == 0
    same = made.output == (POLICIES / "schema.json").read_text(encoding="utf-8")
    assert same, "run: .venv/bin/gateway policy schema > policies/schema.json"
    Draft202012Validator.check_schema(json.loads(made.output))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_document_that_ships_names_the_schema_and_keeps_it(name: str) -> None:
    """An editor finds the schema by the first line, and underlines nothing."""
    text = (POLICIES / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith(FIRST_LINE), f"the first line of {name}.yaml must be: {FIRST_LINE}"
    assert errors(json.loads((POLICIES / "schema.json").read_text(encoding="utf-8")), text) == []


@pytest.mark.property
@given(data=st.data())
def test_what_the_loader_accepts_the_schema_accepts(
    data: st.DataObject, catalogue: Catalogue, schema: dict[str, Any]
) -> None:
    """On random documents, whose loading other tests see to."""
    assert errors(schema, data.draw(small.policies(catalogue))) == []


IN_FORM = (
    "unknown key",
    "is missing",
    "not one of",
    "not a date",
    "no class, relation or field",
    "no field of",
    "masks a",
    "'age_at'",
    "at least",
    "only 'read' shows",
    "is not a whole number",
)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [(old, new, why) for old, new, _, why in REFUSED if any(form in why for form in IN_FORM)],
)
def test_what_is_broken_in_form_is_underlined(old: str, new: str, why: str, schema: dict[str, Any]) -> None:
    """Unknown keys and words, missing keys, masks that don't fit: the editor says so before the loader does."""
    assert errors(schema, GOOD) == []
    assert errors(schema, GOOD.replace(old, new)) != [], why


def test_every_key_is_explained(schema: dict[str, Any]) -> None:
    """A lawyer who rests on a key reads what it means."""
    for path, key, told in described(schema, "$"):
        assert told.get("description", "").endswith((".", ")")), f"{path}: {key}"


def described(schema: Any, path: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield every key that can be written, with what is told of it where something is."""
    inner = schema.items() if isinstance(schema, dict) else enumerate(schema) if isinstance(schema, list) else ()
    for key, value in inner:
        if key == "properties":
            yield from ((path, name, told) for name, told in value.items() if told)
        if key != "if":
            yield from described(value, f"{path}.{key}")


def test_the_forms_that_are_offered_are_those_that_are_accepted(catalogue: Catalogue) -> None:
    """For each field, each form and each field that might stand in its place."""
    resource = catalogue.resources["cases"]
    for path, field in resource.paths():
        for word in (*(form.value for form in Form), *resource.fields):
            assert accepted(word, path, field) is (word in masks.words(path, field)), f"{path}: {word}"


def accepted(word: str, path: str, field: Any) -> bool:
    """Whether the loader reads a mask."""
    try:
        masks.read(Text(Place("t", 1, 1), word), path, field)
    except FileError:
        return False
    return True


def test_a_broken_catalogue_is_told_with_its_place(tmp_path: Path) -> None:
    """In one line, as by every command."""
    (tmp_path / "catalogue.yaml").write_text("catalogue: x\n")
    said = CliRunner().invoke(program, ["policy", "schema", "--policies", str(tmp_path)])
    assert (said.exit_code, said.output.count("\n")) == (2, 1)
    assert said.output.startswith("gateway: catalogue.yaml:1:1: ")
