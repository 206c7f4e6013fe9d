"""The verifier stands alone, and says what docs/log-format.md says that it says."""

import ast
import re
from pathlib import Path

from gateway.verifier import leaf, losses, note, openings
from gateway.verifier.verdict import Wrong

ROOT = Path(__file__).parent.parent.parent
FORMAT = (ROOT / "docs" / "log-format.md").read_text(encoding="utf-8")


def test_the_verifier_imports_nothing_of_the_gateway_but_canonical_json() -> None:
    """Whatever modules there will be: a separate reading shares no code with the writer."""
    imported = set()
    for path in (ROOT / "gateway" / "verifier").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
    ours = {name for name in imported if name.split(".")[0] == "gateway" and not name.startswith("gateway.verifier.")}
    assert ours == {"gateway.canonical"}


def test_the_format_names_every_word_of_the_verifier() -> None:
    """The table of what can be wrong is whole."""
    assert set(re.findall(r"^\| `([a-z-]+)` \| ", FORMAT.partition("## What a verifier says")[2], re.MULTILINE)) == set(
        Wrong
    )


def test_the_format_names_the_verifiers_limits() -> None:
    """Limits in the text are those of the code."""
    for limit in (leaf.MAX_LEAF, note.MAX_NOTE):
        assert f"{limit:,}" in FORMAT
    assert f"nested at\nmost {leaf.MAX_DEPTH} deep" in FORMAT
    assert f"up to {note.MAX_SIGNATURES}\nsignatures" in FORMAT
    assert f"up to {losses.MAX_LOSSES} ranges" in FORMAT
    assert (openings.MAX_COMMITMENTS_LINE, openings.MAX_OPENING_LINE) == (4 << 20, 1 << 20)
