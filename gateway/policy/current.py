"""The policy in force: the last bundle that was good; a bad one on disk never takes its place."""

from collections.abc import Callable
from pathlib import Path

from gateway.policy.bundle import Bundle
from gateway.policy.check import load_checked
from gateway.strict_yaml import FileError

Accepted = Callable[[Bundle], None]
Refused = Callable[[FileError], None]


class Current:
    """Holds one bundle, and looks now and then whether the files have changed.

    Whoever answers a request reads `bundle` once, so that the request is answered wholly by one bundle.
    """

    def __init__(self, root: Path, accepted: Accepted, refused: Refused) -> None:
        self._root = root
        self._accepted = accepted
        self._refused = refused
        self._seen = _fingerprint(root)
        self.bundle = load_checked(root)
        self.sound = True

    def refresh(self) -> None:
        """Take a changed policy into force, or say why not and keep the old one."""
        seen = _fingerprint(self._root)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            bundle = load_checked(self._root)
            if bundle.digest != self.bundle.digest or not self.sound:
                # Announced first: if the log can't take it, the old bundle stays, and this is tried again.
                self._seen = frozenset()
                self._accepted(bundle)
                self._seen = seen
        except FileError as error:
            self._seen = seen
            self.sound = False
            self._refused(error)
            return
        self.sound = True
        self.bundle = bundle


def _fingerprint(root: Path) -> frozenset[tuple[str, int, int]]:
    found = []
    for path in (*root.glob("*.yaml"), *root.glob("lists/*.yaml")):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((path.as_posix(), status.st_mtime_ns, status.st_size))
    return frozenset(found)
