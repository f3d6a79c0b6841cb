"""Which law's default applies where, however a place is spelled."""

import pytest

from gateway.decide.regimes import Regime, regime_of


@pytest.mark.parametrize("place", ["US", "US-CA", "USCA", "us_tx", "CA-ON", "CAON", "AU-NSW", "AUVIC", "JP-13", "NZ"])
def test_place_that_asks_nobody_first_is_opt_out(place: str) -> None:
    assert regime_of(place) is Regime.OPT_OUT


@pytest.mark.parametrize("place", ["DE", "de", "GB", "FRIDF", "FR-75", "CH", "BR", "KR", "CA-QC", "CAQC", "ca_qc"])
def test_place_that_asks_first_is_opt_in(place: str) -> None:
    assert regime_of(place) is Regime.OPT_IN


@pytest.mark.parametrize(
    "place", ["", "AUT", "Austria", "Indonesia", "USA", "UK of GB", "California", "CA", "Canada", "CA-Quebec", "CA-PQ"]
)
def test_place_that_is_spelled_otherwise_is_not_known(place: str) -> None:
    assert regime_of(place) is None
