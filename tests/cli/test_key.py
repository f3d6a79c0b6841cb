"""The key that is made when there is none."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.bootstrap import make_key
from gateway.errors import StartRefused
from gateway.settings import SecuritySettings, Settings, decode_key
from tests.shops import KEY


def test_key_of_the_settings_is_used_and_none_is_made(tmp_path: Path) -> None:
    settings = Settings(folder=tmp_path, security=SecuritySettings(key=KEY))

    assert make_key(settings) is settings
    assert list(tmp_path.iterdir()) == []


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = {made.security.key for made in threads.map(make_key, [Settings(folder=tmp_path)] * 32)}

    assert len(keys) == 1
    assert len(decode_key(keys.pop())) == 32
    assert [path.name for path in (tmp_path / "instance").iterdir()] == ["key"]


def test_previous_keys_stay_beside_a_made_one(tmp_path: Path) -> None:
    settings = Settings(folder=tmp_path, security=SecuritySettings(previous_keys=(KEY,)))

    assert make_key(settings).security.previous_keys == (KEY,)


def test_place_where_no_key_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "instance").write_text("in the way")

    with pytest.raises(StartRefused, match=r"instance/key cannot be read"):
        make_key(Settings(folder=tmp_path))
