"""Replay: deliveries of one destination are decided and sent again, under the stricter of then and now."""

from dataclasses import dataclass
from datetime import datetime

from gateway.model.delivery import DeliveryState
from gateway.storage.database import Database
from gateway.storage.replaying import Finished, Span, finished_deliveries
from gateway.storage.statements import Connection
from gateway.storage.waiting import retry_now

#: What was decided not to leave stays so, whatever the policy becomes.
REPLAYABLE = (DeliveryState.FAILED, DeliveryState.LEAK, DeliveryState.DELIVERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How many deliveries go again, and those whose body is gone, so that they cannot."""

    again: int
    gone: tuple[Finished, ...]


def replay(database: Database, destination_id: str, since: datetime, state: DeliveryState) -> Replayed:
    """Send again what ended in `state` since then; each is decided anew when it is claimed."""
    again, after = 0, 0
    gone: list[Finished] = []
    while batch := _replay_some(database, Span(destination_id=destination_id, state=state, since=since, after=after)):
        there = [one for one in batch if one.has_body]
        gone += [one for one in batch if not one.has_body]
        again, after = again + len(there), batch[-1].delivery_id
    return Replayed(again=again, gone=tuple(gone))


def _replay_some(database: Database, span: Span) -> list[Finished]:
    def job(connection: Connection) -> list[Finished]:
        batch = finished_deliveries(connection, span)
        retry_now(connection, [one.delivery_id for one in batch if one.has_body], now=database.now())
        return batch

    return database.write(job)
