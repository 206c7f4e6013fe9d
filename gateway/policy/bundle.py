"""All rules together: catalogue, lists and documents, digested as one; which documents are live when."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import rfc8785

from gateway import catalogue as catalogues
from gateway.catalogue import Catalogue
from gateway.policy import document as documents
from gateway.policy import lists
from gateway.policy.archive import Files, bounded, read_directory
from gateway.policy.cel import Reader
from gateway.policy.document import Document, Status
from gateway.policy.lists import NamedList
from gateway.strict_yaml import FileError, Place

# Changes whenever the same files would come to mean something else, so that the digest changes too.
COMPILER = 2
CATALOGUE = "catalogue.yaml"
TESTS = "_test.yaml"


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A city's whole policy; the digest names it in every entry of the log, and is made of those of its files."""

    catalogue: Catalogue
    documents: Mapping[str, Document]
    files: Mapping[str, str]
    digest: str

    def live(self, day: date, named: frozenset[str] = frozenset()) -> tuple[Document, ...]:
        """Return the documents of a local day: historical and in force, and proposed ones that are named."""
        candidates = [
            document
            for document in self.documents.values()
            if document.effective(day) and (document.status is not Status.PROPOSED or document.name in named)
        ]
        replaced = {name for document in candidates for name in document.replaces}
        return tuple(document for document in candidates if document.name not in replaced)


def load(root: Path) -> Bundle:
    """Read a directory of policies; raise FileError at the first thing wrong."""
    return load_files(read_directory(root))


def load_files(files: Files) -> Bundle:
    """Read a policy from its files; raise FileError at the first thing wrong."""
    bounded(files)
    meant = {name: content for name, content in files.items() if not _is_test(name, files)}
    catalogue, named = vocabulary(meant)
    reader = Reader(catalogue, {each.name: each for each in named})
    found = {}
    for name, content in meant.items():
        if name != CATALOGUE and "/" not in name:
            document = documents.load(content, name, catalogue, reader)
            found[document.name] = document
    if not found:
        raise FileError(Place("policy", 1, 1), "there is no policy document: an empty policy is refused")
    for document in found.values():
        for name in document.replaces:
            if name not in found or name == document.name:
                raise FileError(document.place, f"'{document.name}' replaces '{name}', which is no other document")
    _refuse_cycles(found)
    digests = {name: _digest(content) for name, content in meant.items()}
    return Bundle(catalogue, found, digests, _digest(rfc8785.dumps({"compiler": COMPILER, "files": digests})))


def vocabulary(files: Files) -> tuple[Catalogue, list[NamedList]]:
    """Read what documents can speak of: the catalogue and the lists; raise FileError at the first thing wrong."""
    if CATALOGUE not in files:
        raise FileError(Place(CATALOGUE, 1, 1), "the catalogue is missing")
    named = [lists.load(content, name) for name, content in files.items() if name.startswith("lists/")]
    return catalogues.load(files[CATALOGUE], CATALOGUE), named


def _refuse_cycles(found: Mapping[str, Document]) -> None:
    """Refuse documents that replace each other in a ring: each would switch the next one off, and all go out."""
    for document in found.values():
        reached = set(document.replaces)
        while further := {name for each in reached for name in found[each].replaces} - reached:
            reached |= further
        if document.name in reached:
            raise FileError(document.place, f"'{document.name}' replaces documents that, in the end, replace it")


def _is_test(name: str, files: Files) -> bool:
    """Whether a file holds the tests of a document beside it; one that tests nothing is a document lost by its name."""
    if not name.endswith(TESTS):
        return False
    if name.removesuffix(TESTS) + ".yaml" not in files:
        raise FileError(Place(name, 1, 1), "a file of tests needs the document that it tests beside it")
    return True


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
