"""Who may sign statements: an OpenSSH file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS), read strictly.

Less than OpenSSH takes is taken: one plain name a line, no patterns, no certificate authorities, times in UTC only.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway import sshsig
from gateway.errors import ConfigurationError
from gateway.sshsig import PublicKey, SignatureError

NAMESPACE = "arrest-gateway-policy"
MIN_APPROVERS = 2
_LINE = re.compile(
    r"(?P<name>\S+)[ \t]+(?:(?P<options>\S+)[ \t]+)?(?P<kind>" + "|".join(sshsig.KINDS) + r")[ \t]+(?P<key>\S+)"
    r"(?:[ \t].*)?"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_OPTION = re.compile(r'(namespaces|valid-after|valid-before)=(?:"([^"]+)"|([^",]+))(?:,(?!$)|$)')
_TIME = re.compile(r"[0-9]{8}(?:[0-9]{4}(?:[0-9]{2})?)?Z")
_FORMS = {9: "%Y%m%dZ", 13: "%Y%m%d%H%MZ", 15: "%Y%m%d%H%M%SZ"}


@dataclass(frozen=True, slots=True)
class Approver:
    """One key of one person: for which namespaces (none: any), and for signatures of which time; `before` excluded."""

    name: str
    key: PublicKey
    namespaces: frozenset[str]
    after: datetime | None
    before: datetime | None

    def covers(self, made: datetime) -> bool:
        """Whether the key counts for what was made at a moment."""
        begun = self.after is None or self.after <= made
        return begun and (self.before is None or made < self.before)


@dataclass(frozen=True, slots=True)
class Approvers:
    """The people whose signatures count."""

    lines: tuple[Approver, ...]

    def counting(self, moment: datetime) -> "Approvers":
        """Return those whose keys count at a moment."""
        return Approvers(tuple(line for line in self.lines if line.covers(moment)))

    def signer(self, armored: str, content: bytes, made: datetime, namespace: str) -> str:
        """Return the name of whoever signed the content; raise SignatureError where it proves nothing.

        1. The signature verifies. 2. Its key is registered, for this namespace. 3. It counted when this was made.
        """
        # 1.
        signature = sshsig.parse(armored)
        sshsig.verify(signature, content, namespace)
        # 2.
        for approver in self.lines:
            if approver.key == signature.key:
                break
        else:
            raise SignatureError(f"the key {signature.key.fingerprint} is no registered approver's")
        if approver.namespaces and namespace not in approver.namespaces:
            raise SignatureError(
                f"the key of {approver.name} is not registered for {namespace}: the approvers' file must name it among "
                "the 'namespaces' of that line"
            )
        # 3.
        if not approver.covers(made):
            raise SignatureError(f"the key of {approver.name} did not count at {made:%Y-%m-%d %H:%M}Z")
        return approver.name


def read(path: Path) -> Approvers:
    """Read a file of approvers; raise ConfigurationError with the line that can't be accepted."""
    try:
        if path.stat().st_mode & 0o022:
            raise ConfigurationError(f"{path} can be written by others; make it mode 644")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"the approvers {path} can't be read; see GATEWAY_APPROVERS") from None
    return parse(text.split("\n"), str(path))


def parse(lines: Iterable[str], name: str) -> Approvers:
    """Read the lines of a file of approvers; places name it."""
    found: list[Approver] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            approver = _approver(line)
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}:{number}: {error}") from None
        for other in found:
            if other.key == approver.key:
                raise ConfigurationError(
                    f"{name}:{number}: this key stands here already, as {other.name}'s: "
                    "one key is one approver, under one name, once"
                )
        found.append(approver)
    if len({approver.name for approver in found}) < MIN_APPROVERS:
        raise ConfigurationError(f"{name}: a policy needs the signatures of two, and fewer approvers stand here")
    return Approvers(tuple(found))


def _approver(line: str) -> Approver:
    match = _LINE.fullmatch(line.strip())
    if match is None:
        kinds = ", ".join(sshsig.KINDS)
        raise ConfigurationError(f"not a line of a name, options, a key's kind ({kinds}) and a key")
    if not _NAME.fullmatch(match["name"]):
        raise ConfigurationError(f"'{match['name']}' is not one plain name: lists and patterns are not accepted")
    options = _options(match["options"] or "")
    try:
        blob = base64.b64decode(match["key"], validate=True)
    except binascii.Error:
        raise ConfigurationError("the key is not base64") from None
    key = sshsig.public_key(blob)
    if not key.written().startswith(f"{match['kind']} "):
        raise ConfigurationError(f"the key is not of the kind {match['kind']}")
    namespaces = frozenset(options["namespaces"].split(",")) if "namespaces" in options else frozenset[str]()
    if any(not name or set(name) & set("*?!") for name in namespaces):
        raise ConfigurationError("patterns of namespaces are not accepted")
    return Approver(match["name"], key, namespaces, _moment(options, "valid-after"), _moment(options, "valid-before"))


def _options(text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _OPTION.match(text, at)
        if match is None or match[1] in options:
            raise ConfigurationError(f"the options '{text}' are not understood: {', '.join(_KNOWN)}, each once")
        options[match[1]] = match[2] or match[3]
        at = match.end()
    return options


_KNOWN = ("namespaces", "valid-after", "valid-before")


def _moment(options: dict[str, str], name: str) -> datetime | None:
    if name not in options:
        return None
    text = options[name]
    try:
        # Without Z a time would mean another moment on another machine.
        return datetime.strptime(text if _TIME.fullmatch(text) else "", _FORMS.get(len(text), "%Y")).replace(tzinfo=UTC)
    except ValueError:
        raise ConfigurationError(f"{name} must be YYYYMMDD[HHMM[SS]]Z, in UTC") from None
