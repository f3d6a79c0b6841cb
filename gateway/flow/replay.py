"""Replay: deliveries of one destination are decided and sent again, under the stricter of then and now."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from gateway.model.delivery import DeliveryState
from gateway.model.instant import as_text
from gateway.storage.audits import log_audit
from gateway.storage.database import Database
from gateway.storage.replaying import Finished, FinishedFilter, finished_deliveries
from gateway.storage.statements import Connection
from gateway.storage.waiting import retry_now

#: What was decided not to leave stays so, whatever the policy becomes.
REPLAYABLE = (DeliveryState.FAILED, DeliveryState.LEAK, DeliveryState.DELIVERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How many deliveries go again, and those whose body is gone, so that they cannot."""

    again: int
    gone: tuple[Finished, ...]


def replay(database: Database, destination_id: str, since: datetime, state: DeliveryState, *, actor: str) -> Replayed:
    """Send again what ended in `state` since then; each is decided anew when claimed, and the audit log says so."""
    asked = {"state": state.value, "since": as_text(since)}
    log_audit(database, actor=actor, action="replayed", subject=destination_id, detail=asked)
    wanted, again = FinishedFilter(destination_id=destination_id, state=state, since=since), 0
    gone: list[Finished] = []
    while True:
        batch, reopened = database.write(partial(_replay_some, wanted=wanted, now=database.now()))
        if not batch:
            return Replayed(again=again, gone=tuple(gone))
        gone += [one for one in batch if not one.has_body]
        wanted, again = replace(wanted, after=batch[-1].delivery_id), again + reopened


def _replay_some(connection: Connection, *, wanted: FinishedFilter, now: datetime) -> tuple[list[Finished], int]:
    batch = finished_deliveries(connection, wanted)
    ids = [one.delivery_id for one in batch if one.has_body]
    return batch, retry_now(connection, ids, now=now, ended_as=(wanted.state,))
