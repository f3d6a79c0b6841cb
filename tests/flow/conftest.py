"""Shops on a database of either kind, as many as a test opens."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.shops import Shop, open_shop, settings_for


@pytest.fixture
def open_(any_url: str) -> Iterator[Callable[..., Shop]]:
    """Opens a shop with a policy; all of them end with the test."""
    shops: list[Shop] = []

    def make(**policy: Any) -> Shop:
        shops.append(open_shop(settings_for(any_url, **policy)))
        return shops[-1]

    yield make
    for shop in shops:
        shop.gateway.close()
