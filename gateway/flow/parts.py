"""The parts that the flow works with, put together in bootstrap and handed on as one value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from gateway.deliver.attempt import Door
from gateway.deliver.destination import DestinationKind
from gateway.flow.item import Addressee
from gateway.flow.policies import PolicyBook
from gateway.flow.telling import Telling
from gateway.model.delivery import Destination
from gateway.model.order import Platform, TopicGroup
from gateway.redact.apply import Rules
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.sealing import Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A destination with the kind that speaks for it."""

    destination: Destination
    kind: DestinationKind


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRules:
    """What redaction needs to know of a store."""

    platform: Platform
    rules: Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything outside the deciding half. `jitter` gives 0 to 1, `new_id` an unguessable id.

    `store_sender` leads to the APIs of stores, whose answers are larger and slower than those of destinations.
    """

    settings: Settings
    database: Database
    keyring: Keyring
    policies: PolicyBook
    targets: Mapping[str, Target]
    stores: Mapping[str, StoreRules]
    sender: Door
    store_sender: Door
    telling: Telling
    new_id: Callable[[], str]
    jitter: Callable[[], float]

    def addressees(self, store_id: str, group: TopicGroup, topic: str) -> tuple[Addressee, ...]:
        """Return the destinations that take a topic of a store, each with a new message id."""
        return tuple(
            Addressee(destination_id=destination_id, message_id=self.new_id())
            for destination_id, target in self.targets.items()
            if target.destination.takes_store(store_id) and target.kind.takes(target.destination, group, topic)
        )

    @property
    def horizon(self) -> timedelta:
        """How long after the first attempt a delivery is tried again."""
        return timedelta(hours=self.settings.worker.retry_horizon_hours)
