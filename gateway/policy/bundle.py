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
from gateway.policy.cel import Reader
from gateway.policy.document import Document, Status
from gateway.strict_yaml import FileError, Place

# Changes whenever the same files would come to mean something else, so that the digest changes too.
COMPILER = 2


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
    catalogue, content = catalogues.load(root / "catalogue.yaml", root)
    digests = {"catalogue.yaml": _digest(content)}
    named = {}
    for path in sorted((root / "lists").glob("*.yaml")):
        member, content = lists.load(path, root)
        named[member.name] = member
        digests[path.relative_to(root).as_posix()] = _digest(content)
    reader = Reader(catalogue, named)
    found = {}
    for path in sorted(root.glob("*.yaml")):
        if path.name == "catalogue.yaml" or _is_test(path):
            continue
        document, content = documents.load(path, root, catalogue, reader)
        found[document.name] = document
        digests[path.name] = _digest(content)
    if not found:
        raise FileError(Place(root.name, 1, 1), "there is no policy document: an empty policy is refused")
    for document in found.values():
        for name in document.replaces:
            if name not in found or name == document.name:
                raise FileError(document.place, f"'{document.name}' replaces '{name}', which is no other document")
    return Bundle(catalogue, found, digests, _digest(rfc8785.dumps({"compiler": COMPILER, "files": digests})))


def _is_test(path: Path) -> bool:
    """Whether a file holds the tests of a document beside it; one that tests nothing is a document lost by its name."""
    if not path.stem.endswith("_test"):
        return False
    if not path.with_stem(path.stem.removesuffix("_test")).exists():
        raise FileError(Place(path.name, 1, 1), "a file of tests needs the document that it tests beside it")
    return True


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
