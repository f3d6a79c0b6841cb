"""Platforms, one package each; a new one is a line in `PLATFORMS`."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from gateway.ingest.platform import PlatformReader
from gateway.ingest.platforms.shopify import Shopify
from gateway.ingest.platforms.woocommerce import WooCommerce
from gateway.ingest.signals import ORDER_ENTRIES, SHOPPER_ENTRIES, read_entries
from gateway.model.order import Platform

PLATFORMS: Final[Mapping[Platform, PlatformReader]] = MappingProxyType(
    {
        Platform.WOOCOMMERCE: WooCommerce(partial(read_entries, readers=ORDER_ENTRIES)),
        Platform.SHOPIFY: Shopify(partial(read_entries, readers=SHOPPER_ENTRIES)),
    }
)
