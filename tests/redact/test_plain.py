"""What is put aside without being read closely: it holds nothing, and long texts are folded like short ones."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.redact.composite import PLAIN, SHORT_NAME, identifiers_in, parts_of
from gateway.redact.identifiers import SHAPE_RULES, VALUE_RULES, Use, judge_key
from gateway.redact.spellings import folded

LETTERS = st.text(st.sampled_from("aZ9 -.ßéÉřİŉ€…½ªﬁ\u00ad\u200b\u0301\u1100\u1161\uff20"), min_size=1, max_size=40)


@given(st.from_regex(PLAIN, fullmatch=True))
def test_plain_values_hold_no_identifier(text: str) -> None:
    assert [finding for rule in (*VALUE_RULES, *SHAPE_RULES) for finding in rule(text)] == []
    for name, part in parts_of(text, shapes=True):
        verdict = judge_key(name)
        assert verdict is None or verdict.use is not Use.IDENTIFIER
        assert identifiers_in(part, shapes=True) == []


@given(st.from_regex(SHORT_NAME, fullmatch=True))
def test_short_names_are_no_identifiers(name: str) -> None:
    assert [finding for rule in VALUE_RULES for finding in rule(name)] == []


@given(LETTERS)
def test_long_texts_are_folded_like_short_ones(text: str) -> None:
    assert folded("\n".join([text] * 200)) == "\n".join([folded(text)] * 200)
