"""Checkpoints byte for byte after C2SP signed-note and tlog-checkpoint, and every refusal of what is none."""

import base64
import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.checkpoint import Checkpoint, CheckpointError, Verifier, sign

ORIGIN = "gateway.test/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
ROOT = hashlib.sha256(b"root").digest()
CHECKPOINT = Checkpoint(ORIGIN, 20852163, ROOT)
NOTE = sign(CHECKPOINT, [KEY])
VERIFIER = Verifier(ORIGIN, KEY.public_key())
EM_DASH = "\N{EM DASH}"

# The key and note of the reference implementation's documentation (golang.org/x/mod/sumdb/note).
GO_NAME = "PeterNeumann"
GO_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    f"{EM_DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdn"
    "gotpRZb6KE6RyyBwJnAM=\n"
)


def signed(text: str, key: Ed25519PrivateKey = KEY, name: str = ORIGIN) -> str:
    """Sign any text as a note, as the specification says, whatever the text is."""
    public = key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\x0a\x01" + public).digest()[:4]
    signature = base64.b64encode(key_id + key.sign(text.encode())).decode()
    return f"{text}\n{EM_DASH} {name} {signature}\n"


def body(size: str = "20852163", root: bytes = ROOT, origin: str = ORIGIN) -> str:
    """Write a checkpoint's text by hand."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def test_a_note_is_written_byte_for_byte_as_specified() -> None:
    """Origin, decimal size, base64 root; an empty line; em dash, name, base64 of key id and signature."""
    text = b"gateway.test/log\n20852163\n" + base64.b64encode(ROOT) + b"\n"
    public = KEY.public_key().public_bytes_raw()
    key_id = hashlib.sha256(b"gateway.test/log" + b"\x0a" + b"\x01" + public).digest()[:4]
    signature = base64.b64encode(key_id + KEY.sign(text))
    assert NOTE.encode() == text + b"\n" + b"\xe2\x80\x94 gateway.test/log " + signature + b"\n"


def test_the_verifier_key_of_the_reference_implementation_is_reproduced() -> None:
    """Key id and verifier key of the documented Ed25519 key are those that the Go library prints."""
    verifier = Verifier(GO_NAME, Ed25519PrivateKey.from_private_bytes(GO_SEED).public_key())
    assert verifier.key_id().hex() == "c74f20a3"
    assert verifier.vkey() == GO_VKEY


def test_the_reference_note_is_signed_as_the_tests_sign() -> None:
    """The Go library's documented note is what these tests' own signer writes (Ed25519 is deterministic)."""
    text = GO_NOTE.partition("\n\n")[0] + "\n"
    assert signed(text, Ed25519PrivateKey.from_private_bytes(GO_SEED), GO_NAME) == GO_NOTE


def test_a_note_that_is_no_checkpoint_is_refused_though_its_signature_is_right() -> None:
    """The Go library's documented note verifies, and is refused because its text is no checkpoint."""
    verifier = Verifier(GO_NAME, Ed25519PrivateKey.from_private_bytes(GO_SEED).public_key())
    with pytest.raises(CheckpointError, match="not a checkpoint of the log"):
        verifier.open(GO_NOTE)


@pytest.mark.property
@given(st.integers(0, 10**18 - 1), st.binary(min_size=32, max_size=32))
def test_what_is_signed_is_read_again(size: int, root: bytes) -> None:
    """Opening a signed checkpoint gives what was signed."""
    checkpoint = Checkpoint(ORIGIN, size, root)
    assert VERIFIER.open(sign(checkpoint, [KEY])) == checkpoint


def test_a_note_signed_by_hand_is_read() -> None:
    """A note that another program wrote after the specification is accepted."""
    assert VERIFIER.open(signed(body())) == CHECKPOINT


def test_the_empty_tree_has_a_checkpoint_of_size_zero() -> None:
    """Zero is the one size that starts with a zero."""
    assert VERIFIER.open(signed(body("0"))).size == 0


@pytest.mark.parametrize("first", [True, False])
def test_signatures_of_unknown_keys_are_passed_over(first: bool) -> None:  # noqa: FBT001 -- pytest passes it by name
    """Cosignatures of witnesses, even under the log's own name, take nothing away (MUST be ignored)."""
    text, _, own = NOTE.partition("\n\n")
    witness = signed(text + "\n", OTHER_KEY, "witness.test/w1").partition("\n\n")[2]
    namesake = signed(text + "\n", OTHER_KEY, ORIGIN).partition("\n\n")[2]
    lines = witness + namesake + own if first else own + witness + namesake
    assert VERIFIER.open(f"{text}\n\n{lines}") == CHECKPOINT


def _resigned_by_another_key() -> str:
    return sign(CHECKPOINT, [OTHER_KEY])


def _another_keys_signature_under_this_keys_id() -> str:
    forged = base64.b64encode(VERIFIER.key_id() + OTHER_KEY.sign(CHECKPOINT.text().encode())).decode()
    return f"{CHECKPOINT.text()}\n{EM_DASH} {ORIGIN} {forged}\n"


def _of_another_origin() -> str:
    return sign(Checkpoint("other.test/log", 20852163, ROOT), [KEY])


def _of_another_origin_under_this_logs_signature() -> str:
    return signed(body(origin="other.test/log"))


def _size_edited() -> str:
    return NOTE.replace("20852163", "20852164")


def _root_edited() -> str:
    return NOTE.replace(base64.b64encode(ROOT).decode(), base64.b64encode(bytes(32)).decode())


def _signature_edited() -> str:
    head, _, blob = NOTE.rstrip("\n").rpartition(" ")
    bits = bytearray(base64.b64decode(blob))
    bits[40] ^= 1
    return f"{head} {base64.b64encode(bits).decode()}\n"


def _signature_cut_short() -> str:
    head, _, blob = NOTE.rstrip("\n").rpartition(" ")
    return f"{head} {base64.b64encode(base64.b64decode(blob)[:-1]).decode()}\n"


def _signature_of_a_key_id_alone() -> str:
    return f"{CHECKPOINT.text()}\n{EM_DASH} {ORIGIN} {base64.b64encode(VERIFIER.key_id()).decode()}\n"


REFUSED: dict[str, Callable[[], str]] = {
    "signed by another key": _resigned_by_another_key,
    "another key's signature under this key's id": _another_keys_signature_under_this_keys_id,
    "another origin, signed with the same key": _of_another_origin,
    "another origin in the text alone": _of_another_origin_under_this_logs_signature,
    "size edited": _size_edited,
    "root edited": _root_edited,
    "signature edited": _signature_edited,
    "signature cut short": _signature_cut_short,
    "signature empty behind the key id": _signature_of_a_key_id_alone,
    "nothing at all": lambda: "",
    "text alone": CHECKPOINT.text,
    "text and an empty line": lambda: CHECKPOINT.text() + "\n",
    "last newline missing": lambda: NOTE.rstrip("\n"),
    "empty line missing": lambda: NOTE.replace("\n\n", "\n"),
    "hyphen for the em dash": lambda: NOTE.replace(EM_DASH, "-"),
    "en dash for the em dash": lambda: NOTE.replace(EM_DASH, "\N{EN DASH}"),
    "signature is not base64": lambda: f"{CHECKPOINT.text()}\n{EM_DASH} {ORIGIN} !!!!\n",
    "signature in URL base64": lambda: NOTE.rstrip("\n").rpartition(" ")[0] + " -_-_\n",
    "signature lacks its padding": lambda: NOTE.removesuffix("=\n") + "\n",
    "two spaces before the signature": lambda: NOTE.replace(f"{ORIGIN} ", f"{ORIGIN}  "),
    "root is not base64": lambda: signed(f"{ORIGIN}\n5\n{'!' * 44}\n"),
    "root is base64 with a space": lambda: signed(f"{ORIGIN}\n5\n {base64.b64encode(ROOT).decode()}\n"),
    "root of 31 bytes": lambda: signed(body(root=ROOT[:31])),
    "root of 33 bytes": lambda: signed(body(root=ROOT + b"!")),
    "root empty": lambda: signed(f"{ORIGIN}\n5\n\n"),
    "root missing": lambda: signed(f"{ORIGIN}\n5\n"),
    "an extension line": lambda: signed(body() + "timestamp 1\n"),
    "a line before the origin": lambda: signed("\n" + body()),
    "origin empty": lambda: signed(body(origin="")),
    "origin in other letters": lambda: signed(body(origin=ORIGIN.upper())),
    "size with a leading zero": lambda: signed(body("020852163")),
    "size of two zeros": lambda: signed(body("00")),
    "size with a plus": lambda: signed(body("+5")),
    "size with a minus": lambda: signed(body("-5")),
    "size with a space": lambda: signed(body(" 5")),
    "size with an underscore": lambda: signed(body("2_0")),
    "size with a fraction": lambda: signed(body("5.0")),
    "size in hexadecimal": lambda: signed(body("0x5")),
    "size in Arabic-Indic digits": lambda: signed(body("\N{ARABIC-INDIC DIGIT FIVE}")),
    "size as a superscript": lambda: signed(body("\N{SUPERSCRIPT TWO}")),
    "size empty": lambda: signed(body("")),
    "size of 2^70": lambda: signed(body(str(2**70))),
    "size of a million digits": lambda: signed(body("9" * 1_000_000)),
    "CRLF throughout": lambda: NOTE.replace("\n", "\r\n"),
    "CRLF in the text, signed so": lambda: signed(body().replace("\n", "\r\n")),
    "CR at the end of the origin, signed so": lambda: signed(body(origin=f"{ORIGIN}\r")),
    "CR at the end of the signature": lambda: NOTE.removesuffix("\n") + "\r\n",
    "form feed at the end of the signature": lambda: NOTE.removesuffix("\n") + "\f\n",
    "lines parted by form feeds, signed so": lambda: signed(body().replace("\n", "\f", 2)),
    "lines parted by LINE SEPARATOR, signed so": lambda: signed(body().replace("\n", "\u2028", 2)),
    "an empty line between signatures": lambda: NOTE + "\n" + NOTE.partition("\n\n")[2],
    "a line that is no signature among them": lambda: NOTE + "garbage\n",
}


@pytest.mark.parametrize("forgery", REFUSED)
def test_a_note_that_is_no_checkpoint_of_this_log_is_refused(forgery: str) -> None:
    """Whatever differs from the format, the origin, the key or what was signed is refused, by one error."""
    note = REFUSED[forgery]()
    assert note != NOTE
    with pytest.raises(CheckpointError):
        VERIFIER.open(note)


@pytest.mark.property
@given(st.text(max_size=300))
def test_no_text_at_all_makes_the_reader_fail_in_another_way(text: str) -> None:
    """Whatever is handed in is refused as CheckpointError, never by another error."""
    with pytest.raises(CheckpointError):
        VERIFIER.open(text)


@pytest.mark.property
@given(st.data())
def test_no_single_character_can_be_changed(data: st.DataObject) -> None:
    """A note with one character changed is refused, but for the unused last bits of base64 alone."""
    at = data.draw(st.integers(0, len(NOTE) - 1))
    char = data.draw(st.characters(min_codepoint=10, max_codepoint=0x2100, exclude_characters=NOTE[at]))
    forged = NOTE[:at] + char + NOTE[at + 1 :]
    unused = at == NOTE.rindex("=") - 1
    try:
        opened = VERIFIER.open(forged)
    except CheckpointError:
        return
    assert unused, f"{forged!r} was accepted"
    assert opened == CHECKPOINT
