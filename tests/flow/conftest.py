"""Shops on a database of either kind, as many as a test opens."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.shops import Shop, open_shop, settings_for


@pytest.fixture
def shops() -> Iterator[list[Shop]]:
    """Shops that a test opens; all of them end with it."""
    opened: list[Shop] = []
    yield opened
    for shop in opened:
        shop.gateway.close()


@pytest.fixture
def open_(any_url: str, shops: list[Shop]) -> Callable[..., Shop]:
    """Opens a shop with a policy."""

    def make(**policy: Any) -> Shop:
        shops.append(open_shop(settings_for(any_url, **policy)))
        return shops[-1]

    return make
