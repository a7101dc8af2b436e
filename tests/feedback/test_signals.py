"""Contract 6: what each signal becomes, word for word."""

import pytest

from feedback.modalities.text import Text
from feedback.signals import SIGNALS

# signal, with a correction?: the case, what is taught, what it was preferred to
TABLE = [
    ("up", False, "golden", "good", None),
    ("accepted", False, "golden", "good", None),
    ("resolved", False, "golden", "good", None),
    ("down", True, "regression", "better", "good"),
    ("correction", True, "regression", "better", "good"),
    ("edited", True, "regression", "better", "good"),
    ("down", False, "", "good", None),  # what not to answer
    ("regenerated", False, None, None, None),
    ("abandoned", False, None, None, None),
]


@pytest.mark.parametrize(("signal", "has_correction", "case", "taught", "rejected"), TABLE)
def test_it_works(signal, has_correction, case, taught, rejected):
    drafts = Text().to_examples(signal, "good", "better" if has_correction else None)
    if case is None:
        assert drafts == []
    else:
        (draft,) = drafts
        assert (draft.case, draft.output, draft.rejected_output) == (case, taught, rejected)


def test_the_table_names_every_signal():
    assert {signal for signal, *_ in TABLE} == set(SIGNALS)


def test_who_may_bring_a_correction():
    with_one = {signal for signal, has_correction, *_ in TABLE if has_correction}
    assert {name for name, s in SIGNALS.items() if s.corrected != "refused"} == with_one


def test_what_is_only_observed_weighs_less():
    for signal in SIGNALS.values():
        assert signal.weight == (1.0 if signal.is_explicit else 0.5)


def test_explicit_signals_are_those_said_on_purpose():
    explicit = {name for name, signal in SIGNALS.items() if signal.is_explicit}
    assert explicit == {"up", "down", "correction", "edited"}
