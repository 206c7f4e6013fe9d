"""The guide through one rule runs as it stands, from the rule's text to the entry that it explains."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import servers

GUIDE = servers.ROOT / "docs" / "guides" / "one-rule.md"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that looks like the repository after `make setup`."""
    shutil.copytree(servers.ROOT / "policies", tmp_path / "policies")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    commands = {"gateway": f"{sys.executable} -m gateway", "python3": sys.executable}
    if shutil.which("ssh-keygen") is None:
        commands["ssh-keygen"] = f"{sys.executable} -m tests.e2e.ssh_keygen"
    for name, command in commands.items():
        (programs / name).write_text(f'#!/bin/sh\nPYTHONPATH={servers.ROOT} exec {command} "$@"\n')
        (programs / name).chmod(0o755)
    return tmp_path


def test_one_rule_goes_from_its_text_to_its_force(place: Path) -> None:
    """Every command of the guide ends well, and says what the guide says of it."""
    port = servers.free_port()
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    script = "\n".join(["set -eu", f"export GATEWAY_BIND=127.0.0.1:{port}", *blocks]).replace(":8000", f":{port}")
    environment = servers.environment({}) | {"HOME": str(place)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-3000:]
    assert "12 documents, sha256:" in told
    assert "1 of 1 rules were seen to match and not to match" in told
    assert re.search(r"added +pa-juvenile\.yaml\n", told)
    assert re.search(r"fbi-phl for criminal-investigation, arrests: permit -> permit\n +records .*\(\+0 -\d+\)", told)
    assert re.search(r"entry [0-9a-f]{32}: same\n", told)
    assert "verified:" in told
    assert list((place / "try" / "keys").iterdir())
