"""The commands of recall, hold and erasure, as officers run them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization

from gateway.cli import program
from gateway.erasure.order import NAMESPACE
from tests import world
from tests.erasure.conftest import City
from tests.erasure.office import ALICE, BOB, acknowledge, owed
from tests.world import environment

SHORT = {"--because": "For a test.", "--by": "Officer Sealed"}
BECAUSE = [each for pair in SHORT.items() for each in pair]


def run(city: City, *arguments: str, status: int = 0) -> Result:
    """Run a command of the audit; whatever is wrong is one line, and never a traceback."""
    ended = CliRunner().invoke(program, ["audit", *arguments], env=environment(city.office.settings))
    assert ended.exit_code == status, ended.output
    assert ended.exception is None or isinstance(ended.exception, SystemExit)
    return ended


def key_file(directory: Path, name: str) -> str:
    """Write an approver's private key as ssh-keygen does."""
    form = serialization.PrivateFormat.OpenSSH
    path = directory / f"{name}.key"
    plain = serialization.NoEncryption()
    path.write_bytes(world.SIGNERS[name].private_bytes(serialization.Encoding.PEM, form, plain))
    path.chmod(0o600)
    return str(path)


def test_a_recall_from_command_to_acknowledgement(city: City) -> None:
    """What is owed is printed by client; who has heard is listed; the lists are logged."""
    city.ice.records({"limit": 1})
    key = city.office.key(city.ice, city.ice.records({"limit": 1})[0]["id"])
    recall = ["recall", "--record", f"arrests:{key}", "--kind", "sealed", *BECAUSE]
    said = run(city, *recall, "--days", "5").output
    assert "ice-ero: owed 1 notice of the kind sealed, due " in said
    assert "ice-ero: has 1 notice open already" in run(city, *recall).output
    (notice,) = owed(city.ice)
    listed = run(city, "notices", "--by", "Auditor").output
    assert listed.startswith(f"{notice['id']}\tice-ero\tsealed\tarrests\t")
    assert listed.endswith("\towed\n")
    assert run(city, "notices", "--overdue").output == "0 notices\n"
    assert run(city, "notices", "--client", "fbi").output == "0 notices\n"
    city.office.run("UPDATE notice SET due = 1000")
    assert "\tdue 1970-01-01\tOVERDUE\n" in run(city, "notices", "--overdue", "--client", "ice-ero").output
    acknowledge(city.ice, notice["id"])
    assert run(city, "notices", "--overdue").output == "0 notices\n"
    assert "\tacknowledged 20" in run(city, "notices").output
    leaves = city.office.leaves("audit-notices")
    assert [leaf["overdue"] for leaf in leaves] == [False, True, False, True, True, False]


def test_a_recall_of_what_nobody_received_says_so(city: City) -> None:
    """A misspelt resource is not taken for good news."""
    of = ["--kind", "corrected", *BECAUSE]
    assert "no client has received arrests:999999" in run(city, "recall", "--record", "arrests:999999", *of).output
    said = run(city, "recall", "--record", "arrest:1", *of).output
    assert "knows no 'arrest', but arrests" in said


def test_a_suspended_client_is_to_be_written_to(city: City) -> None:
    """No request of its own will tell it."""
    key = city.office.key(city.ice, city.ice.records({"limit": 1})[0]["id"])
    city.office.run("UPDATE client SET state = 'suspended'")
    said = run(city, "recall", "--record", f"arrests:{key}", "--kind", "sealed", *BECAUSE).output
    assert "ice-ero: is suspended and can't ask for it: write to" in said


@pytest.mark.parametrize(
    "record", ["1", "arrests", "arrests:", "arrests:x", "arrests:-1", "arrests:1:2", ":1", "A B:1"]
)
def test_a_record_is_a_resource_and_a_key(city: City, record: str) -> None:
    """All else is refused in a line."""
    said = run(city, "recall", "--record", record, "--kind", "sealed", *BECAUSE, status=2).output
    assert "a record is a resource and its key" in said


def test_a_hold_from_placing_to_lifting(city: City) -> None:
    """A hold has an id; the list says when, not on whom; it is lifted once."""
    place = ["hold", "--person", str(city.person), *BECAUSE]
    hold = run(city, *place).output.strip()
    listed = run(city, "hold", "list").output
    assert listed.split("\t")[0] == hold
    assert "stands" in listed
    lift = ["hold", "lift", hold, *BECAUSE]
    assert run(city, *lift).output == f"{hold} is lifted\n"
    assert f"no hold {hold} stands" in run(city, *lift, status=2).output
    assert "lifted 20" in run(city, "hold", "list").output
    assert "no hold nothing stands" in run(city, "hold", "lift", "nothing", *BECAUSE, status=2).output
    for wrong in (["hold"], ["hold", "--person", "1"], ["hold", "--person", "-1", *BECAUSE], [*place, "list"]):
        run(city, *wrong, status=2)
    city.office.verify()


@pytest.mark.parametrize("reason", ["", " ", "two\nlines", "x" * 1001, "\udcff", "\x1b[2J"])
def test_a_reason_is_one_line_that_can_be_read(city: City, reason: str) -> None:
    """What is sealed can be opened and printed one day."""
    because = ["--because", reason]
    recall = ["recall", "--record", "arrests:1", "--kind", "sealed"]
    for command in (recall, ["hold", "--person", "1"], ["hold", "lift", "H"]):
        assert "a reason is one line" in run(city, *command, *because, status=2).output


def test_an_erasure_from_order_to_what_remains(city: City, tmp_path: Path) -> None:
    """Proposed, signed by one with the command and by the other with ssh-keygen, enacted; and the rest is told."""
    city.alone(city.ice)
    file = tmp_path / "an order"
    proposed = run(city, "erase", "propose", "--person", str(city.person), "--order", "MD-0-TEST")
    file.write_bytes(proposed.stdout_bytes)
    assert json.loads(proposed.stdout)["order"] == "MD-0-TEST"
    assert f"ssh-keygen -Y sign -n {NAMESPACE}" in proposed.stderr
    signed = run(city, "erase", "sign", str(file), "--key", key_file(tmp_path, ALICE))
    assert f"erase person {city.person} from the log gateway.test/log" in signed.stderr
    one, other = tmp_path / "one.sig", tmp_path / "other.sig"
    one.write_text(signed.stdout)
    other.write_bytes(_ssh_keygen(file.read_bytes(), key_file(tmp_path, BOB)))
    enact = ["erase", "enact", str(file), "--signature", str(one), "--by", "Officer Sealed"]
    assert "needs the signatures of 2" in run(city, *enact, status=2).output
    hold = run(city, "hold", "--person", str(city.person), *BECAUSE).output.strip()
    both = [*enact, "--signature", str(other)]
    assert f"a legal hold stands on this person, and nothing is erased: {hold}" in run(city, *both, status=2).output
    run(city, "hold", "lift", hold, *BECAUSE)
    said = run(city, *both).output
    # Of the answer its records and its question; the hold and its lifting.
    destroyed, notices = len(city.arrests) + 2 + 2, len(city.arrests)
    assert f"erased: {destroyed} openings in 3 entries, 0 budget marks; {notices} notices owed" in said
    assert f"ice-ero: owed {notices} notices of the kind expunged" in said
    files = "a file system or a disk" if city.office.settings.store_url.startswith("sqlite") else "VACUUM FULL"
    for remains in ("destroy '", "backups", files, "exports", "SIEM", "warrants"):
        assert remains in said
    assert "was enacted before" in run(city, *both, status=2).output
    assert str(file) in said
    city.office.verify()


def _ssh_keygen(content: bytes, key: str) -> bytes:
    """Sign with ssh-keygen, or with what stands in for it where there is none."""
    installed = shutil.which("ssh-keygen")
    program_ = [installed] if installed else [sys.executable, "-m", "tests.e2e.ssh_keygen"]
    asked = [*program_, "-Y", "sign", "-n", NAMESPACE, "-f", key]
    return subprocess.run(asked, input=content, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


def test_files_that_are_no_orders_are_refused_in_a_line(city: City, tmp_path: Path) -> None:
    """Too large, not an order, no signature, no file."""
    large, text = tmp_path / "large", tmp_path / "text"
    large.write_bytes(b"x" * 100_000)
    text.write_bytes(b"please erase them all")
    key = key_file(tmp_path, ALICE)
    for path, because in ((large, "is too large"), (text, "this is no order")):
        assert because in run(city, "erase", "sign", str(path), "--key", key, status=2).output
        assert because in run(city, "erase", "enact", str(path), "--signature", str(text), status=2).output
    order = tmp_path / "order"
    order.write_bytes(city.office.order(city.person))
    assert "not one SSH signature" in run(city, "erase", "enact", str(order), "--signature", str(text), status=2).output
    run(city, "erase", "enact", str(tmp_path / "nothing"), "--signature", str(text), status=2)
    wrong = ["erase", "propose", "--person", "7", "--order"]
    assert "one line" in run(city, *wrong, "two\nlines", status=2).output
