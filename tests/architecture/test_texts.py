"""What files say of themselves, and what they leave unsaid."""

import ast
import re
import tomllib
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

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


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())
