"""The admin pages on a real database: empty, and with a history."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.web.browsing import Pages, open_pages
from tests.web.seed import tell


@pytest.fixture
def pages(sqlite_url: str) -> Iterator[Pages]:
    """The pages with nothing to show."""
    opened = open_pages(sqlite_url)
    yield opened
    opened.story.gateway.database.close()


@pytest.fixture(scope="session")
def told_template(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, datetime]:
    """A database with a history to copy from, and the time at which it ends."""
    path = tmp_path_factory.mktemp("told") / "told.db"
    shutil.copy(sqlite_template, path)
    opened = open_pages(f"sqlite:///{path}")
    tell(opened.story)
    opened.story.gateway.database.close()
    return path, opened.story.clock.at


@pytest.fixture(scope="session")
def shown(told_template: tuple[Path, datetime], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """The pages with a history, for tests that only look."""
    path, ended_at = told_template
    copy = tmp_path_factory.mktemp("shown") / "told.db"
    shutil.copy(path, copy)
    opened = open_pages(f"sqlite:///{copy}")
    opened.story.clock.at = ended_at
    yield opened
    opened.story.gateway.database.close()


@pytest.fixture
def told(told_template: tuple[Path, datetime], tmp_path: Path) -> Iterator[Pages]:
    """The pages with a history."""
    path, ended_at = told_template
    shutil.copy(path, tmp_path / "told.db")
    opened = open_pages(f"sqlite:///{tmp_path}/told.db")
    opened.story.clock.at = ended_at
    yield opened
    opened.story.gateway.database.close()
