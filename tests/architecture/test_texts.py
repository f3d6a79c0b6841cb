"""What files say of themselves, and what they leave unsaid."""

import ast
import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

import pytest

from gateway.cli.program import main
from tests.architecture.tree import GATEWAY, ROOT, modules, written

# The code speaks of itself alone: not of papers, tickets or people that its readers do not have.
UNSAID = re.compile(r"CONTRACT\.md|CONTRACT section|DESIGN\.md|STYLE\.md|\bshared/|\bissues? #?\d|\bTODO\b|\bFIXME\b")
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}


def test_every_module_says_what_it_is_for() -> None:
    said = {path: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in modules()}

    assert [path for path, text in said.items() if not text.partition("\n")[0].endswith((".", ":"))] == []


def test_modules_are_nouns_of_the_field() -> None:
    assert [path for path in modules() if path.stem in NO_NAMES] == []


def test_files_speak_of_themselves_alone() -> None:
    found = {path: UNSAID.findall(path.read_text(encoding="utf-8")) for path in written()}

    assert {path: words for path, words in found.items() if words} == {}


def test_modules_fit_on_a_few_screens() -> None:
    assert {path.name: _lines(path) for path in modules() if _lines(path) > 400 and path.stem != "tables"} == {}


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    newest = re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert newest is not None
    assert newest[1] == project["version"] == version("consent-gateway")


def test_readme_gives_a_reason_for_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {re.split(r"[\[<>=]", one)[0] for one in needed} - {"consent-gateway"}

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {name for name in names if f"| {name} |" not in readme} == set()


def test_every_file_of_the_package_is_installed_with_it() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    files = [path for path in GATEWAY.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}]

    kinds = [pattern.removeprefix("**/") for pattern in patterns["gateway"]]
    assert [path for path in files if not any(fnmatch(path.name, kind) for kind in kinds)] == []
    assert len(files) > 10


def test_links_between_documents_lead_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    links = [(path, link) for path in documents for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8"))]

    assert [f"{path.name}: {link}" for path, link in links if not (path.parent / link).exists()] == []
    assert len(links) > 5


def test_runbook_names_every_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    helps = dict(_helps(capsys))
    options = {option for text in helps.values() for option in re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE)}

    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `.*", runbook.partition("## Commands")[2].partition("\n## ")[0], re.MULTILINE)
    told = "\n".join(rows)
    commands = {" ".join(one) for one, text in helps.items() if "ACTION" not in text and one}
    assert {one for one in commands if f"`{one}" not in told} == set()
    assert {one for one in options if one not in runbook} == {"--version"}
    assert len(commands) > 10


def _helps(capsys: pytest.CaptureFixture[str], *command: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """What `--help` says of a command and of all commands below it."""
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    text = capsys.readouterr().out
    yield command, text
    for name in re.findall(r"^    ([a-z]+)(?:\s|$)", text, re.MULTILINE):
        yield from _helps(capsys, *command, name)


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())
