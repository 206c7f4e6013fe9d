"""The mark of a sandbox, by which its names, keys, entries and answers are told from those of a real gateway.

A sandbox is the same gateway over invented records. It has a log of its own, whose name begins with `sandbox.`; what
signs, seals or answers for such a log says so, and what does so for any other log never does.
"""

from collections.abc import Callable, Mapping

Marked = Callable[[bytes], bytes]

# What a sandbox's log is called begins with it, and the host by which it is known.
PREFIX = "sandbox."
# In every response, whatever its body.
HEADER = ("Sandbox", "invented-records")
# In every leaf.
FACTS: Mapping[str, bool] = {"sandbox": True}
# Before each key file of a sandbox (explanatory text, RFC 7468, section 2).
KEY_FILE = b"The key of a sandbox. It signs, seals and opens nothing real.\n"
_MEMBER = b',"sandbox":true}'
# An OpenAPI document has no members of others' making but with this prefix ("Specification Extensions").
_DOCUMENT, _EXTENSION = b'{"openapi":', b',"x-sandbox":true}'


def named(name: str) -> bool:
    """Whether a log, or a host, has the name of a sandbox."""
    return name.lower().startswith(PREFIX)


def marked(log: str) -> Marked:
    """Return what writes the mark of a log's gateway into the bytes of a JSON object."""
    return _say_so if named(log) else _as_it_is


def _say_so(body: bytes) -> bytes:
    return body[: body.rindex(b"}")] + (_EXTENSION if body.startswith(_DOCUMENT) else _MEMBER)


def _as_it_is(body: bytes) -> bytes:
    return body
