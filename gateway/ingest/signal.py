"""Signals about consent that browsers and servers post."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from gateway.ingest.answers import CATEGORY_NAMES, answers_of, basis_of, choice_of, noted, settled, without_grants
from gateway.ingest.fields import instant_of, text_of
from gateway.ingest.form import Form
from gateway.ingest.gpc import with_gpc
from gateway.ingest.signals import EVIDENCE
from gateway.model.consent import (
    GATING,
    Basis,
    Category,
    Channel,
    Choice,
    Choices,
    Evidence,
    Signal,
    SignalState,
    Source,
    Subject,
)

CLOCK_SKEW: Final = timedelta(minutes=5)
_DAY: Final = timedelta(days=1)  # somewhere it is tomorrow
_REGION: Final = re.compile(r"[A-Za-z0-9_-]{0,16}")
_MOST_CMP_CHARS: Final = 64


def read_signal(body: Mapping[str, object], *, channel: Channel, sec_gpc: bool, received_at: datetime) -> Signal:
    """Read what was posted by `channel` browser or server; `sec_gpc` tells of the request's own `Sec-GPC: 1`.

    Raises `RequestInvalid` with every mistake by its field. A category without an answer stays unknown.
    """
    form = Form(body)
    subject, seq, strings = _subject(form, channel), form.integer("seq"), _strings(form)
    stated, is_stated = _stated(form, channel, received_at)
    spoken = [(name, _not_from_the_future(EVIDENCE[name](text), received_at)) for name, text in strings.items()]
    evidence = _checked_by(stated, spoken) if is_stated else _told_by(stated, spoken)
    has_gpc = form.flag("gpc") or stated.basis is Basis.GPC or sec_gpc or any(one.gpc for _, one in spoken)
    has_answer = form.has("categories") or any(one.state is SignalState.ANSWERED for _, one in spoken)
    evidence = settled(replace(evidence, state=_state(form, channel, evidence, has_answer=has_answer or has_gpc)))
    form.finish()
    return Signal(
        subject=subject,
        evidence=with_gpc(evidence) if has_gpc else evidence,
        channel=channel,
        seq=seq,
        raw=dict(strings),
    )


def _subject(form: Form, channel: Channel) -> Subject:
    """Read whom it speaks for; a browser must show a key or token, and never speaks for a customer."""
    subject = Subject(
        session_id=form.session_id(),
        order_id=form.id("order_id"),
        order_key=form.secret("order_key"),
        checkout_token=form.secret("checkout_token"),
        customer_id=form.id("customer_id"),
    )
    if channel is Channel.BROWSER:
        _check_browser(form)
    names = ("session_id", "checkout_token", "order_id", "customer_id")
    if not any(form.has(name) for name in names):
        form.wrong("session_id", "Needed, unless another field names whom this is about.")
    return subject


def _check_browser(form: Form) -> None:
    if form.has("customer_id"):
        form.wrong("customer_id", "A browser cannot speak for a customer.")
    if form.has("order_id") and not form.has("order_key"):
        form.wrong("order_key", "Needed with order_id.")
    if form.has("order_key") and not form.has("order_id"):
        form.wrong("order_id", "Needed with order_key.")


def _strings(form: Form) -> dict[str, str]:
    """Read the evidence strings that we know by name."""
    strings = {}
    for name, value in form.object("evidence").items():
        if name not in EVIDENCE or value is None or value == "":
            continue
        if not isinstance(value, str):
            form.wrong(f"evidence.{name}", "Must be a text.")
            continue
        strings[name] = value
    return strings


def _stated(form: Form, channel: Channel, received_at: datetime) -> tuple[Evidence, bool]:
    """Read what the sender says itself, and whether it gave any category an answer or a null."""
    given = form.object("categories")
    for name in given.keys() & CATEGORY_NAMES.keys():
        if choice_of(given[name]) is None and not isinstance(given[name], str):
            form.wrong(f"categories.{name}", "Must be true, false or null.")
    answers, basis = answers_of(given), basis_of(form.text("basis") or None)
    captured_at, clock_note = _captured_at(form, received_at)
    region = form.text("region")
    if not _REGION.fullmatch(region):
        form.wrong("region", "Must be a country or a country and its region, like US-CA.")
    if form.has("v") and form.integer("v") != 1:
        form.wrong("v", "Must be 1.")
    evidence = Evidence(
        choices=answers.choices,
        source=_source(form, channel),
        basis=basis or Basis.IMPLIED,
        captured_at=captured_at,
        cmp=text_of(form.text("cmp"), most=_MOST_CMP_CHARS),
        session_id=form.session_id(),
        entry=channel.value,
        region=region,
    )
    return noted(evidence, *answers.notes, "" if basis else "basis: unknown word", clock_note), bool(given)


def _captured_at(form: Form, received_at: datetime) -> tuple[datetime | None, str]:
    """Read the sender's time; it is never later than that of receipt."""
    text = form.text("captured_at")
    captured_at = instant_of(text)
    if text and captured_at is None:
        form.wrong("captured_at", "Must be a time like 2026-11-21T15:54:04Z.")
    if captured_at is None or captured_at <= received_at:
        return captured_at, ""
    return received_at, "clock_skew" if captured_at - received_at > CLOCK_SKEW else ""


def _not_from_the_future(evidence: Evidence, received_at: datetime) -> Evidence:
    """Take back what a string grants that says it was made later than today; its refusals stay."""
    if evidence.captured_at is None or evidence.captured_at - received_at <= _DAY:
        return evidence
    return noted(replace(evidence, choices=without_grants(evidence.choices)), "later than its receipt")


def _source(form: Form, channel: Channel) -> Source:
    word = form.word("source", *Source)
    if channel is Channel.BROWSER:
        return Source.CLIENT
    return Source(word) if word else Source.SERVER


def _state(form: Form, channel: Channel, evidence: Evidence, *, has_answer: bool) -> SignalState:
    word = form.word("state", *SignalState)
    if word == SignalState.ANSWERED or (not word and channel is Channel.SERVER):
        if not has_answer:
            form.wrong("categories", "Needed when the state is answered.")
        return SignalState.ANSWERED
    if word == SignalState.PENDING:
        return SignalState.PENDING
    is_answer = any(evidence.choices.of(category) is not Choice.UNKNOWN for category in GATING)
    return SignalState.ANSWERED if has_answer and is_answer else SignalState.PENDING


def _checked_by(stated: Evidence, spoken: list[tuple[str, Evidence]]) -> Evidence:
    """Take back what the evidence refuses; it grants nothing that was not stated."""
    for name, said in spoken:
        choices, note = stated.choices, said.note and f"evidence.{name}: {said.note}"
        for category in Category:
            if said.choices.of(category) is Choice.DENIED:
                note = f"evidence.{name}: disagrees" if choices.of(category) is Choice.GRANTED else note
                choices = choices.with_choice(category, Choice.DENIED)
        stated = noted(replace(stated, choices=choices), note)
    return stated


def _told_by(stated: Evidence, spoken: list[tuple[str, Evidence]]) -> Evidence:
    """Let the evidence speak where nothing was stated: an answer beats none, a refusal beats a grant."""
    choices, notes = Choices(), []
    for name, said in spoken:
        answered = settled(said)
        choices = choices.strictest_with(answered.choices)
        notes.append(said.note and f"evidence.{name}: {said.note}")
    is_implied = any(said.basis is Basis.IMPLIED for _, said in spoken)
    evidence = replace(stated, choices=choices, basis=Basis.IMPLIED if is_implied else stated.basis)
    return noted(evidence, *notes)
