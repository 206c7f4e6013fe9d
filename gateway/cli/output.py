"""How commands print what others have written: no control character of theirs reaches the terminal."""

import json

import click


def plain(text: str) -> str:
    """Write out whatever a terminal would obey, or would not show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def say(text: str) -> None:
    """Print a line."""
    click.echo(plain(text))


def say_json(value: object) -> None:
    """Print JSON for machines; what is not ASCII is escaped."""
    click.echo(json.dumps(value, indent=2))
