"""Mutation testing, run by `make mutants`: mutmut with the tests on SQLite, and what that leaves, on PostgreSQL.

`docs/mutation-testing.md` says what is left after both, and why.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
SURVIVED = re.compile(r"^\s*(\S+): survived$", re.MULTILINE)


def main() -> int:
    """Run both; print what no test noticed."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if "--again" not in sys.argv:
        subprocess.run(["mutmut", "run"], cwd=ROOT, env=environment, check=True)
    results = subprocess.run(
        ["mutmut", "results"], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    for mutant in SURVIVED.findall(results.stdout):
        # Each mutant lies beside the original in mutants/, and this variable chooses it.
        chosen = environment | {"MUTANT_UNDER_TEST": mutant}
        tests = subprocess.run(_command(), cwd=ROOT / "mutants", env=chosen, check=False, capture_output=True)
        sys.stdout.write(f"{mutant}: {'survived' if tests.returncode == 0 else 'killed on PostgreSQL'}\n")
        sys.stdout.flush()
    return 0


def _command() -> list[str]:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    tests = configured["pytest_add_cli_args_test_selection"]
    return [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-k", "postgresql", *tests]


if __name__ == "__main__":
    sys.exit(main())
