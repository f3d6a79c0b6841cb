"""The APIs of stores, one file per platform; a new one is a line in `STORE_APIS`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from gateway.deliver.attempt import Door
from gateway.flow.stores.api import StoreApi
from gateway.flow.stores.client import StoreClient, base_url_of
from gateway.flow.stores.shopify import ShopifyApi
from gateway.flow.stores.woocommerce import WooCommerceApi
from gateway.model.order import Platform
from gateway.settings import ApiSettings, StoreSettings

STORE_APIS: Final[Mapping[Platform, Callable[[StoreClient, ApiSettings], StoreApi]]] = MappingProxyType(
    {Platform.WOOCOMMERCE: WooCommerceApi, Platform.SHOPIFY: ShopifyApi}
)


def open_api(store: StoreSettings, door: Door, *, wait: Callable[[float], None], allow_plain: bool) -> StoreApi:
    """Return the API of a store; raises StoreFailed when its address may not be used.

    `wait` sleeps for that many seconds. `allow_plain` lets the loopback address be asked without TLS.
    """
    api = store.api
    base_url = base_url_of(api.url or api.domain, allow_plain=allow_plain)
    return STORE_APIS[Platform(store.platform)](StoreClient(door, base_url, wait=wait), api)
