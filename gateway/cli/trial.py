"""`gateway policy test`: the documents' own tests, what differs, and which rules no case exercises."""

import json
import sys
from pathlib import Path

import click

from gateway.cases.run import Coverage, Report, run
from gateway.cases.verdict import Mismatch, Verdict
from gateway.cli.policy import ROOT
from gateway.policy.archive import read_directory

_ABSENT = "-"


@click.command("test")
@ROOT
@click.option("--json", "as_json", is_flag=True, help="tell it to a machine")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def test(policies: Path, as_json: bool, names: tuple[str, ...]) -> None:  # noqa: FBT001 -- click passes it by name
    """Run the cases that stand beside the documents (all, or those named), and list rules that no case exercises.

    Exits with 1 if a case fails.
    """
    report = run(read_directory(policies), names)
    if as_json:
        click.echo(json.dumps(_json(report), indent=2))
    else:
        _tell(report)
    sys.exit(0 if report.passed else 1)


def _tell(report: Report) -> None:
    for verdict in report.verdicts:
        click.echo(f"{'ok  ' if verdict.passed else 'FAIL'}  {verdict.case.document}: {verdict.case.name}")
        if not verdict.passed:
            click.echo(f"      {verdict.case.place}")
        for mismatch in verdict.mismatches:
            _tell_mismatch(mismatch)
    failed = sum(not verdict.passed for verdict in report.verdicts)
    click.echo()
    lacking = [cover for cover in report.coverage if not cover.whole]
    for cover in lacking:
        click.echo(f"rule {cover.rule.name}: {_lack(cover)} ({cover.rule.place})")
    whole = len(report.coverage) - len(lacking)
    click.echo(f"{whole} of {len(report.coverage)} rules were seen to match and not to match")
    for name in report.untested:
        click.echo(f"{name} has no tests")
    click.echo(f"{len(report.verdicts)} cases, {failed} failed")


def _tell_mismatch(mismatch: Mismatch) -> None:
    rows = [(d.what, _told(d.expected), _told(d.got)) for d in mismatch.differences]
    table = [(mismatch.about, "expected", "got"), *rows]
    first, second = (max(len(row[column]) for row in table) for column in (0, 1))
    for what, expected, got in table:
        click.echo(f"        {what:{first}}  {expected:{second}}  {got}")
    if mismatch.alike:
        click.echo(f"        as expected: {', '.join(mismatch.alike)}")


def _told(value: str | None) -> str:
    return _ABSENT if value is None else value


def _lack(cover: Coverage) -> str:
    if not cover.matched and not cover.spared:
        return "no case exercises it"
    return "no case sees it not match" if cover.matched else "no case sees it match"


def _json(report: Report) -> dict[str, object]:
    return {
        "passed": report.passed,
        "cases": [_json_verdict(verdict) for verdict in report.verdicts],
        "rules": [{"rule": c.rule.name, "matched": c.matched, "not_matched": c.spared} for c in report.coverage],
        "without_tests": list(report.untested),
    }


def _json_verdict(verdict: Verdict) -> dict[str, object]:
    return {
        "document": verdict.case.document,
        "case": verdict.case.name,
        "place": str(verdict.case.place),
        "passed": verdict.passed,
        "mismatches": [_json_mismatch(mismatch) for mismatch in verdict.mismatches],
    }


def _json_mismatch(mismatch: Mismatch) -> dict[str, object]:
    differences = [{"what": d.what, "expected": d.expected, "got": d.got} for d in mismatch.differences]
    return {"about": mismatch.about, "differences": differences, "as_expected": list(mismatch.alike)}
