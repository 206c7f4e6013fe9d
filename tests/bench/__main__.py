"""Runs the benchmark: `python -m tests.bench`. It starts all that it needs, ends it, and stops by itself."""

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests import services
from tests.bench import log, policy, postgraphile, report, requests


@click.command()
@click.option("--seconds", type=click.IntRange(1, 60), default=6, show_default=True, help="of a measurement")
@click.option("--rounds", type=click.IntRange(1, 9), default=3, show_default=True, help="of each measurement")
@click.option("--arrests", type=click.IntRange(10_000), default=10_000_000, show_default=True, help="at most")
@click.option("--rules", type=click.IntRange(100), default=1000, show_default=True, help="for the policy")
def main(seconds: int, rounds: int, arrests: int, rules: int) -> None:
    """Measure requests, policy and log, the policy over a tenth of the arrests; write docs/benchmarks.md."""
    with TemporaryDirectory(prefix="gw-bench-") as directory, services.postgres(*requests.SERVER) as server:
        root = Path(directory)
        # First, since it is what a machine without a network lacks.
        installed = postgraphile.install(root / "postgraphile")
        sizes = requests.sized(server, arrests)
        click.echo(report.write_requests(requests.measured(root, server, sizes, installed, seconds, rounds)))
        few, many = sizes
        server.drop(many.name)
        url = server.url(few.name)
        findings = (
            policy.of_rules(root, rules, seconds),
            policy.of_cells(root, url, few.arrests, seconds),
            policy.of_difference(root, server, url, few.arrests),
        )
        click.echo(report.write_policy(findings))
        click.echo(report.write_log(log.of_log(server, root, rounds, seconds)))


if __name__ == "__main__":
    main()
