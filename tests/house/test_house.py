"""House rules that run: routes, who builds what, layers, and what committed files may say."""

import ast
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.audit.entry import ASKED
from tests.conftest import MakeWorld

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted((ROOT / "gateway").rglob("*.py"))

ROUTES = {
    ("/.well-known/jwks.json", "GET"),
    ("/.well-known/oauth-authorization-server", "GET"),
    ("/.well-known/oauth-protected-resource", "GET"),
    ("/healthz", "GET"),
    ("/log/checkpoint", "GET"),
    ("/log/tile/<path:path>", "GET"),
    ("/metrics", "GET"),
    ("/oauth/token", "POST"),
    ("/openapi.json", "GET"),
    ("/readyz", "GET"),
    ("/v1/<resource>/<record:identifier>", "GET"),
    ("/v1/<resource>/search", "POST"),
    ("/v1/entries/<identifier>", "GET"),
    ("/v1/notices", "GET"),
    ("/v1/notices/<identifier>/acknowledge", "POST"),
    ("/v1/resources", "GET"),
}


@pytest.fixture
def dialect() -> str:
    """The routes are the same on both."""
    return "sqlite"


def test_the_list_of_routes_is_pinned(make_world: MakeWorld) -> None:
    """A new way in does not come unnoticed."""
    rules = make_world().gateway.flask.url_map.iter_rules()
    found = {(rule.rule, method) for rule in rules for method in (rule.methods or set()) - {"HEAD"}}
    assert found == ROUTES


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Disclosure", "gateway/disclosure.py"),
        ("LoggedRefusal", "gateway/disclosure.py"),
        ("LoggedReceipt", "gateway/disclosure.py"),
        ("LoggedEntry", "gateway/audit/log.py"),
        ("SentAnswer", "gateway/web/problems.py"),
    ],
)
def test_what_may_leave_is_built_in_one_file(name: str, file: str) -> None:
    """An answer and the proof of its entry are each constructed in exactly one file."""
    builders = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _called(node.func) == name
    }
    assert builders == {file}


def test_what_clients_ask_is_stated_once() -> None:
    """Reviews, reports and explanations tell clients' requests from the city's acts by this list."""
    calls = [
        node
        for path in sorted((ROOT / "gateway/web").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]
    said = [call.args[0] for call in calls if _called(call.func) in {"walk", "note"}]
    said += [word.value for call in calls for word in call.keywords if word.arg == "action"]
    actions = {word.value for word in said if isinstance(word, ast.Constant)}
    assert actions | {"describe"} == set(ASKED)


def _called(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def test_only_the_outermost_edge_catches_everything() -> None:
    """A broad except stands at the edges alone: of a thread's rounds, and of requests, within Flask's handler."""
    broad = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or _called(node.type) in ("Exception", "BaseException"))
    ]
    assert [place.partition(":")[0] for place in broad] == [
        "gateway/audit/rounds.py",
        "gateway/web/site.py",
    ]


def test_every_module_opens_with_what_it_is_in_charge_of() -> None:
    """Each module has a docstring of its own."""
    assert [path.name for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_no_module_has_grown_a_second_purpose() -> None:
    """No module passes 400 lines."""
    assert [(path.name, n) for path in SOURCES if (n := len(path.read_text().splitlines())) > 400] == []


def test_committed_files_name_no_package_host_and_no_path_of_a_machine() -> None:
    """Dependencies are locked with hashes and without addresses."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    pattern = re.compile(rb"https?://[^ \"']*(/simple\b|\.whl|\.tar\.gz)|/(home/[a-z]+|root)/")
    found = []
    for name in listed.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and name != Path(__file__).relative_to(ROOT).as_posix():
            found += [name] if pattern.search(path.read_bytes()) else []
    assert found == []


def test_every_dependency_is_locked_with_a_hash() -> None:
    """No line of a lock file stands without hashes."""
    for name in ("runtime", "dev", "uv"):
        lines = (ROOT / "requirements" / f"{name}.txt").read_text().split("\n")
        for first, second in pairwise(lines):
            if "==" in first and not first.startswith(("#", " ")):
                assert "--hash=sha256:" in second, first


def test_every_problem_code_is_documented() -> None:
    """The published list of codes is whole, with each status."""
    from gateway.errors import STATUS_AND_TITLE, Code

    text = (ROOT / "docs" / "problems.md").read_text()
    assert set(STATUS_AND_TITLE) == set(Code)
    for code, (status, title) in STATUS_AND_TITLE.items():
        assert f"| `{code}` | {status} | {title} |" in text
