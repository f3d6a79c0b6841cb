"""What tools hold the code to."""

import pytest

from tests.architecture.tree import run_tool


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("lint-imports", ("--no-logo",)),
        ("ruff", ("check", ".")),
        ("ruff", ("format", "--check", ".")),
        ("mypy", ()),
        ("codespell", ("gateway", "migrations", "docs", "README.md", "CHANGELOG.md", "settings.toml", "wsgi.py")),
    ],
    ids=["imports", "lint", "format", "types", "spelling"],
)
def test_tool_has_nothing_to_say(tool: str, arguments: tuple[str, ...]) -> None:
    code, said = run_tool(tool, *arguments)

    assert code == 0, said
