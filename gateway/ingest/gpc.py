"""Global Privacy Control (https://w3c.github.io/gpc/): a browser's objection, whatever a banner was told."""

from dataclasses import replace

from gateway.ingest.answers import choice_of
from gateway.model.consent import Basis, Category, Choice, Evidence, SignalState


def is_gpc(value: object) -> bool:
    """Whether a `gpc` field says that it is on; what cannot be read counts as on."""
    return not (value is None or value is False or value in (0, "") or choice_of(value) is Choice.DENIED)


def with_gpc(evidence: Evidence) -> Evidence:
    """Deny marketing and the sale of data; an explicit answer is kept beside, for shops where it may outweigh GPC."""
    is_explicit = evidence.state is SignalState.ANSWERED and evidence.basis is Basis.EXPLICIT
    denied = evidence.choices.with_choice(Category.MARKETING, Choice.DENIED)
    return replace(
        evidence,
        choices=denied.with_choice(Category.SALE_OF_DATA, Choice.DENIED),
        basis=Basis.GPC,
        gpc=True,
        before_gpc=evidence.choices if is_explicit else None,
    )
