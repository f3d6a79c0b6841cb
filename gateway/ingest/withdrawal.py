"""Withdrawals that a shop's server posts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.ingest.answers import CATEGORY_NAMES
from gateway.ingest.fields import email_of
from gateway.ingest.form import Form
from gateway.model.consent import GATING, Category, Subject

_ADDRESS = re.compile(r"[^\s<>,;:]+@[^\s<>,;:@]+")  # a name beside it would be no order's address
_NAMES = ("customer_id", "order_id", "session_id", "email")


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """Whom it speaks for, and what they take back."""

    subject: Subject
    categories: tuple[Category, ...]


def read_withdrawal(body: Mapping[str, object]) -> Withdrawal:
    """Read a withdrawal; without `categories` it takes back all. Raises `RequestInvalid` with every mistake."""
    form = Form(body)
    subject = Subject(
        session_id=form.session_id(),
        order_id=form.id("order_id"),
        customer_id=form.id("customer_id"),
        email=_email(form),
    )
    if not any(form.has(name) for name in _NAMES):
        form.wrong("customer_id", f"One of {', '.join(_NAMES)} is needed.")
    categories = _categories(form, body.get("categories"))
    form.finish()
    return Withdrawal(subject=subject, categories=categories)


def _categories(form: Form, given: object) -> tuple[Category, ...]:
    if given is None:
        return GATING
    names = given if isinstance(given, list) else []
    known = [CATEGORY_NAMES[name] for name in names if isinstance(name, str) and name in CATEGORY_NAMES]
    if not names or len(known) != len(names):
        form.wrong("categories", f"Must be an array of: {', '.join(Category)}.")
    return tuple(dict.fromkeys(known))


def _email(form: Form) -> str | None:
    text = form.text("email")
    email = email_of(text)
    if form.has("email") and not (email and _ADDRESS.fullmatch(email)):
        form.wrong("email", "Must be an e-mail address.")
    return email
