"""What the tests of everything over HTTP share."""

from collections.abc import Iterator

import pytest

from tests.shops import Shop, open_shop, settings_for


@pytest.fixture
def shop(sqlite_url: str) -> Iterator[Shop]:
    """A shop that ends with the test."""
    shop = open_shop(settings_for(sqlite_url))
    yield shop
    shop.gateway.close()
