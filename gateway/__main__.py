"""Starts the program."""

from gateway.cli import program


def main() -> None:
    """Run the command that the shell names."""
    program(prog_name="gateway")


if __name__ == "__main__":
    main()
