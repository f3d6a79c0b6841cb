"""Erasure: everything personal of one customer goes; that something was decided, and how, stays."""

from collections.abc import Sequence
from datetime import datetime

from gateway.decide.session import withdraw
from gateway.flow.redeciding import Subjects, what_waits
from gateway.model.consent import GATING
from gateway.model.delivery import DeliveryState
from gateway.model.order import Erasure
from gateway.storage.consent import lower, lowering_row
from gateway.storage.erasing import Person, erase_rows, find_person
from gateway.storage.renewals import cancel_renewals
from gateway.storage.sessions import Visit, load_visits, put_visit
from gateway.storage.statements import Connection
from gateway.storage.waiting import cancel


def erase_person(
    connection: Connection, store_id: str, erasure: Erasure, email_hashes: Sequence[str], now: datetime
) -> None:
    """Cancel what waits, delete bodies and evidence, and blank what points to the person."""
    if not (erasure.customer_id or email_hashes or erasure.order_ids):
        return
    person = find_person(connection, store_id, erasure.customer_id, email_hashes, erasure.order_ids)
    _take_all_back(connection, person, now)
    customers = [person.customer_id] if person.customer_id else []
    theirs = Subjects(store_id, person.session_hashes, customers, person.order_ids, email_hashes)
    ids = [one.id for one in what_waits(connection, theirs)]
    cancel(connection, ids, state=DeliveryState.CANCELLED, reason="erased", drop_bodies=True, now=now)
    if person.order_ids:
        cancel_renewals(connection, store_id, now=now, origin_order_ids=person.order_ids, forget=True)
    erase_rows(connection, person, now)


def _take_all_back(connection: Connection, person: Person, now: datetime) -> None:
    """Nothing of this person leaves any more: once their keys are blank, nothing else would find their denials."""
    subjects = [("order", order_id) for order_id in person.order_ids]
    subjects += [("customer", person.customer_id)] if person.customer_id else []
    subjects += [("email", email_hash) for email_hash in person.email_hashes]
    lower(
        connection,
        [
            lowering_row((person.store_id, kind, subject), category, by="erasure", at=now)
            for kind, subject in subjects
            for category in GATING
        ],
    )
    for key, visit in load_visits(connection, [(person.store_id, one) for one in person.session_hashes]).items():
        put_visit(connection, key, Visit(consent=withdraw(visit.consent, GATING, now)), now)
