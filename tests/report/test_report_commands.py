"""The commands: what they write, what they find changed, and how they say no."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import _Program
from gateway.cli.report import extract, report
from tests.report.invented import AFTER, act, export, leaf, refused

LATER = "2027-06-01T00:00:00.000000Z"
LOG = [*[leaf()] * 9, *[refused()] * 6, act("any", AFTER), act("any", LATER)]


def run(*arguments: str | Path) -> Result:
    """Run a command as the program runs it."""
    program = _Program("gateway", commands=[report, extract])
    return CliRunner().invoke(program, [str(argument) for argument in arguments])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An export of a log that reaches beyond 2026-Q4."""
    return export(tmp_path / "export", LOG, sizes=[10, 16, 17])


@pytest.fixture
def written(tmp_path: Path, source: Path) -> Path:
    """A report as it is published."""
    out = tmp_path / "out"
    result = run("report", "--quarter", "2026-Q4", "--export", source, "--out", out)
    assert result.exit_code == 0, result.output
    return out


def test_a_report_verifies_against_its_export(written: Path, source: Path) -> None:
    """And the command says what it does not say."""
    assert {path.suffix for path in written.iterdir()} == {".html", ".csv", ".json"}
    result = run("report", "verify", written, "--export", source)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "verified: the report on 2026-Q4 is what the export gives",
        "that the export is the log, whole and unchanged, is for `gateway audit verify` to say",
    ]


def test_a_report_verifies_against_a_later_export(written: Path, tmp_path: Path) -> None:
    """What was logged since changes nothing."""
    later = export(tmp_path / "later", [*LOG, leaf(), leaf(time=LATER)], sizes=[10, 16, 17, 19])
    assert run("report", "verify", written, "--export", later).exit_code == 0


def test_every_changed_file_is_found(written: Path, source: Path, tmp_path: Path) -> None:
    """One byte more, one less, a file less, a file more: the first difference is said, with status 1."""
    for name in sorted(path.name for path in written.iterdir()):
        whole = (written / name).read_bytes()
        for changed in (whole[:-3] + b"~" + whole[-2:], whole[:-1], whole + b"x"):
            copy = tmp_path / "copy"
            shutil.copytree(written, copy)
            (copy / name).write_bytes(changed)
            result = run("report", "verify", copy, "--export", source)
            assert result.exit_code in ((1, 2) if name == "report.json" else (1,))
            assert name in result.output
            assert len(result.output.splitlines()) == 1
            shutil.rmtree(copy)
    (written / "agencies.csv").rename(written / "other.csv")
    assert "NOT VERIFIED: agencies.csv is missing" in run("report", "verify", written, "--export", source).output


def test_a_difference_is_shown_with_both_sides(written: Path, source: Path) -> None:
    """What the report says, and what the log gives."""
    file = written / "agencies.csv"
    file.write_bytes(file.read_bytes().replace(b"ICE,15,", b"ICE,51,"))
    result = run("report", "verify", written, "--export", source)
    assert result.exit_code == 1
    assert result.output.startswith(
        "NOT VERIFIED: agencies.csv, line 2: the report says 'ICE,51,9,,6,,9,9', the log gives 'ICE,15,9,,6,,9,9'"
    )


def test_a_changed_leaf_makes_the_report_differ(written: Path, tmp_path: Path) -> None:
    """A request fewer in the export is a figure fewer in the report."""
    other = export(tmp_path / "other", [act("audit-show"), *LOG[1:]], sizes=[10, 16, 17])
    assert "NOT VERIFIED" in run("report", "verify", written, "--export", other).output


@pytest.mark.parametrize(
    ("size", "status", "message"),
    [(17, 1, "stands on that of 17"), (16, 0, "verified")],
)
def test_the_checkpoint_is_the_one_that_the_log_gives(
    written: Path, tmp_path: Path, size: int, status: int, message: str
) -> None:
    """A report that stands on another checkpoint than the first possible one is another edition."""
    other = export(tmp_path / "other", LOG, sizes=[size])
    result = run("report", "verify", written, "--export", other)
    assert result.exit_code == status
    assert message in result.output


def test_another_note_of_the_same_size_is_found(written: Path, source: Path) -> None:
    """A checkpoint that the export does not hold is no ground to stand on."""
    told = json.loads((written / "report.json").read_text())
    told["checkpoint"]["note"] = told["checkpoint"]["note"].replace("AAAA", "BBBB")
    (written / "report.json").write_text(json.dumps(told))
    result = run("report", "verify", written, "--export", source)
    assert result.exit_code == 1
    assert "the checkpoint of 16 entries is not the one that the export holds" in result.output


def test_an_export_that_is_smaller_than_the_reports_checkpoint_is_refused(written: Path, tmp_path: Path) -> None:
    """It can't be recomputed from that."""
    small = export(tmp_path / "small", LOG[:12])
    result = run("report", "verify", written, "--export", small)
    assert result.exit_code == 2
    assert result.output == "gateway: the export holds 12 entries, the report stands on 16: get a newer one\n"


def test_a_report_with_a_lower_threshold_is_not_recomputed(written: Path, source: Path) -> None:
    """Five is the least, in verifying too."""
    file = written / "report.json"
    file.write_text(file.read_text().replace('"threshold": 5', '"threshold": 2'))
    result = run("report", "verify", written, "--export", source)
    assert (result.exit_code, result.output) == (2, "gateway: the threshold is 2, and must be 5 or more\n")


def test_a_report_by_another_version_says_that_its_form_may_differ(written: Path, source: Path) -> None:
    """The version is part of the files, and taken from the report."""
    for name in ("report.json", "report.html"):
        file = written / name
        file.write_text(file.read_text().replace("0.1.0", "9.9.9"))
    assert run("report", "verify", written, "--export", source).exit_code == 0
    (written / "report.html").write_text("other")
    assert (
        "(it was made by 9.9.9, this is 0.1.0: the form may differ)"
        in run("report", "verify", written, "--export", source).output
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quarter", "2026-Q9", "--out", "OUT", "--export", "EXPORT"], "gateway: '2026-Q9' is no quarter"),
        (["--quarter", "2027-Q3", "--out", "OUT", "--export", "EXPORT"], "no checkpoint covers an entry of 2027-10-02"),
        (["--quarter", "2026-Q4", "--out", "EXPORT", "--export", "EXPORT"], "is not empty"),
        (["--quarter", "2026-Q4", "--out", "EXPORT/log.json", "--export", "EXPORT"], "File exists"),
        (["--quarter", "2026-Q4", "--out", "OUT", "--export", "EXPORT", "--threshold", "4"], "4 is not in the range"),
        (["--quarter", "2026-Q4", "--out", "OUT", "--export", "EXPORT", "--time-zone", "Mars"], "is no time zone"),
        (["--quarter", "2026-Q4", "--out", "OUT"], "a report takes --quarter, --export and --out"),
        (["--quarter", "2026-Q4", "--out", "OUT", "--export", "NONE"], "does not exist"),
        (["--quarter", "2026-Q4", "--out", "OUT", "--export", "EMPTY"], "log.json: No such file"),
        (["verify", "EMPTY", "--export", "EXPORT"], "report.json: No such file"),
        (["verify", "EXPORT", "--export", "EXPORT"], "report.json: No such file"),
    ],
)
def test_bad_input_ends_with_one_line_and_status_two(
    tmp_path: Path, source: Path, arguments: list[str], message: str
) -> None:
    """No traceback, and nothing is written."""
    (tmp_path / "empty").mkdir()
    places = {"OUT": tmp_path / "new", "EXPORT": source, "NONE": tmp_path / "none", "EMPTY": tmp_path / "empty"}
    filled = []
    for argument in arguments:
        first, slash, rest = argument.partition("/")
        filled.append(str(places.get(first, first)) + slash + rest)
    result = run("report", *filled)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"format":"x"}', "[" * 100_000, '{"format":"x","quarter":"2026-Q4","time_zone":"UTC"}']
)
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, source: Path, content: str) -> None:
    """One line and status 2."""
    (tmp_path / "report.json").write_text(content)
    result = run("report", "verify", tmp_path, "--export", source)
    assert result.exit_code == 2
    assert result.output.startswith("gateway: ")
    assert len(result.output.splitlines()) == 1


def test_what_stands_in_the_place_of_a_file_is_found(written: Path, source: Path) -> None:
    """A directory is no file, and another format no report of ours."""
    (written / "agencies.csv").unlink()
    (written / "agencies.csv").mkdir()
    result = run("report", "verify", written, "--export", source)
    assert (result.exit_code, result.output) == (1, "NOT VERIFIED: agencies.csv: Is a directory\n")
    file = written / "report.json"
    file.write_text(file.read_text().replace("arrest-gateway-report/1", "arrest-gateway-report/9"))
    result = run("report", "verify", written, "--export", source)
    assert result.exit_code == 2
    assert "the format is 'arrest-gateway-report/9', not 'arrest-gateway-report/1'" in result.output


def test_late_entries_are_announced_and_not_counted(tmp_path: Path) -> None:
    """Whoever makes the report sees them; the report does not tell so small a figure."""
    source = export(tmp_path / "export", [*LOG, leaf()], sizes=[16, 18])
    result = run("report", "--quarter", "2026-Q4", "--export", source, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "NOT COUNTED: 1 requests of 2026-Q4 stand behind that checkpoint" in result.output


def test_an_extract_is_delayed(tmp_path: Path, source: Path) -> None:
    """By ninety days or more after the quarter; a longer delay leaves nothing here."""
    assert run("extract", "--export", source, "--out", tmp_path / "x").exit_code == 0
    assert {path.name for path in (tmp_path / "x").iterdir()} == {"extract.csv", "extract.ndjson"}
    longer = run("extract", "--export", source, "--out", tmp_path / "y", "--delay", "152")
    assert longer.exit_code == 2
    assert "no quarter with requests ended 152 days before the log's newest entry" in longer.output
    assert run("extract", "--export", source, "--out", tmp_path / "z", "--delay", "151").exit_code == 2
    assert run("extract", "--export", source, "--out", tmp_path / "z", "--delay", "150").exit_code == 0
    assert run("extract", "--export", source, "--out", tmp_path / "w", "--delay", "89").exit_code == 2


def test_lines_of_a_finished_quarter_never_change(tmp_path: Path, source: Path) -> None:
    """A later extract continues an earlier one."""
    later = export(tmp_path / "later", [*LOG, leaf(), act("any", "2028-01-01T00:00:00.000000Z")], sizes=[16, 17, 19])
    for name, directory in (("a", source), ("b", later)):
        assert run("extract", "--export", directory, "--out", tmp_path / name).exit_code == 0
    first = (tmp_path / "a" / "extract.ndjson").read_bytes()
    assert first
    assert (tmp_path / "b" / "extract.ndjson").read_bytes().startswith(first)
