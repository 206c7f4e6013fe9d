"""How the demo speaks: numbered steps, and an error at the first thing that differs from what it should be."""

import click


class DemoError(Exception):
    """Something was not as it should be."""


def step(number: int, title: str) -> None:
    """Begin a step."""
    click.secho(f"\n{number}. {title}", bold=True)


def expect(what: str, *, holds: bool) -> None:
    """Say what was found, or stop."""
    if not holds:
        raise DemoError(f"this should have been so: {what}")
    click.echo(f"  ok  {what}")
