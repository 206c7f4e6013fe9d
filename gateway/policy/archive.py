"""A policy's files as one value and as one archive; the one place that turns a directory or an archive into them.

The archive is canonical JSON (RFC 8785) of path to text. Tests of documents travel in it, and are no part of the
digest; whatever else lies in the directory stays there.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import rfc8785

from gateway.strict_yaml import MAX_BYTES, FileError, Place

MAX_FILES = 500
MAX_TOTAL = 20 << 20
# Control characters are written as six: no archive of sound files is larger.
_MAX_ARCHIVE = 6 * MAX_TOTAL
_NAME = re.compile(r"(?:lists/)?[A-Za-z0-9][A-Za-z0-9._-]{0,119}\.yaml")

Files = Mapping[str, bytes]


def read_directory(root: Path) -> Files:
    """Read the files of a policy; raise FileError where they can't be read, or are too many or too large."""
    files = {}
    for path in sorted((*root.glob("*.y*ml"), *root.glob("lists/*.y*ml"))):
        name = path.relative_to(root).as_posix()
        if path.suffix != ".yaml":
            raise FileError(
                Place(name, 1, 1), "the files of a policy end in '.yaml'; rename it, or it would be in no force"
            )
        try:
            with path.open("rb") as file:
                files[name] = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise FileError(Place(name, 1, 1), f"the file can't be read: {error.strerror}") from None
    bounded(files)
    return files


def pack(files: Files) -> bytes:
    """Write files as an archive; raise FileError for a file that is not UTF-8."""
    texts = {}
    for name, content in files.items():
        try:
            texts[name] = content.decode("utf-8")
        except UnicodeDecodeError:
            raise FileError(Place(name, 1, 1), "the file is not UTF-8") from None
    return rfc8785.dumps(texts)


def unpack(archive: bytes) -> Files:
    """Read an archive; refuse one that is cut short, too large, or that `pack` would not have written."""
    place = Place("archive", 1, 1)
    if len(archive) > _MAX_ARCHIVE:
        raise FileError(place, "the archive is too large")
    try:
        texts = msgspec.json.decode(archive, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise FileError(place, "the archive is broken or cut short") from None
    files = {name: text.encode("utf-8") for name, text in texts.items()}
    bounded(files)
    if pack(files) != archive:
        raise FileError(place, "the archive is not written canonically")
    return files


def bounded(files: Files) -> None:
    """Refuse what is no file of a policy, and too much of it."""
    if len(files) > MAX_FILES:
        raise FileError(Place("policy", 1, 1), f"the policy has more than {MAX_FILES} files")
    for name, content in files.items():
        if not _NAME.fullmatch(name):
            raise FileError(Place("archive", 1, 1), f"'{name}' is no file of a policy: NAME.yaml or lists/NAME.yaml")
        if len(content) > MAX_BYTES:
            raise FileError(Place(name, 1, 1), f"the file is larger than {MAX_BYTES} bytes")
    if sum(map(len, files.values())) > MAX_TOTAL:
        raise FileError(Place("policy", 1, 1), f"the policy is larger than {MAX_TOTAL} bytes")
