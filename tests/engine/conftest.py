"""A receiver for whatever the processes under test send."""

from collections.abc import Iterator

import pytest

from tests.engine.sink import Sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A receiver that remembers everything and ends with the test."""
    sink = Sink()
    yield sink
    sink.close()
