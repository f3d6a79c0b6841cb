"""A settings file for a test, and what is wrong with it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.errors import SettingsInvalid
from gateway.settings import Settings, load_settings

STORE = '[[stores]]\nid = "acme"\nplatform = "woocommerce"\nsecrets = ["s"]\n'


def load(folder: Path, text: str, variables: Mapping[str, str] | None = None) -> Settings:
    """Load `text` as a settings file in `folder`, with nothing but `variables` around it."""
    path = folder / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, variables or {})


def mistakes(folder: Path, text: str, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what is wrong with `text`, by path."""
    with pytest.raises(SettingsInvalid) as raised:
        load(folder, text, variables)
    return {path: "; ".join(texts) for path, texts in raised.value.errors.items()}
