"""Kinds of destinations: one file each, and one line here."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.deliver.destination import DestinationKind
from gateway.deliver.destinations.webhook import Webhook

DESTINATION_KINDS: Mapping[str, DestinationKind] = MappingProxyType({"webhook": Webhook()})
