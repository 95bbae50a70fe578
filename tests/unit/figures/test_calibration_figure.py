"""The calibration figure: what its artists hold."""

import numpy as np
import pandas as pd
import pytest
from drawn import artists, texts
from numpy.testing import assert_allclose

from grids.analysis.links.calibration import COUNT_COLUMNS, P_VALUES, TESTS, calibration_table
from grids.figures.calibration import calibration


def counts(share, tests=TESTS, nulls=("none", "shuffle", "decoy")):
    """Of 10,000 tests of each kind, `share(p)` have a p-value of at most p; tests that are not named have none."""
    rows = []
    for level, cell_type in (("within_type", "A"), ("within_type", "B"), ("across_types", "all types")):
        for null in nulls:
            for what in TESTS:
                n = 10_000 * (what in tests or level == "within_type")
                table = pd.DataFrame(
                    {"p_value": P_VALUES, "n_at_most": np.round(n * share(P_VALUES)).astype(int)}
                )
                named = {"level": level, "cell_type": cell_type, "null": null, "what": what}
                rows.append(table.assign(**named, n_tests=n, n_repeats=5, n_repeats_with_discoveries=2))
    return pd.concat(rows, ignore_index=True)[COUNT_COLUMNS]


def drawn(table):
    figure = calibration(table, calibration_table(table))
    figure.draw_without_rendering()
    return figure


def test_quantiles_are_those_of_the_counts():
    figure = drawn(counts(lambda p: np.sqrt(p)))
    lines = artists(figure, "link")
    assert len(lines) == 4  # both levels, both nulls
    for line in lines:
        expected, observed = line.get_data()
        # A share of sqrt(p) is at most p: observed -log10 is twice the expected one, but for rounding to whole tests.
        whole = observed < 5
        assert whole.sum() > 40
        assert_allclose(expected[whole], observed[whole] / 2, atol=0.02)
    assert len(artists(figure, "type")) == 2 * 2 * 3  # two types, two nulls, three kinds of test


def test_ratios_are_those_of_all_types_together():
    figure = drawn(counts(lambda p: np.minimum(3 * p, 1)))
    for label in (f"{null} {what}" for null in ("shuffle", "decoy") for what in TESTS):
        for line in artists(figure, label):
            assert_allclose(line.get_ydata(), 3)
    found = " ".join(texts(figure))
    assert "links: 4 of 10" in found and "links: 2 of 5" in found


def test_a_level_without_p_values_of_windows_keeps_the_panels_wide():
    figure = drawn(counts(lambda p: p, tests=["link"]))
    widths = [ax.get_position().width for ax in figure.axes]
    assert min(widths) > 0.2
    assert sum("windows:" in text for text in texts(figure)) == 2


@pytest.mark.parametrize("nulls", [("none",), ("none", "decoy")])
def test_a_null_that_was_not_asked_for_is_said(nulls):
    said = [text for text in texts(drawn(counts(lambda p: p, nulls=nulls))) if "no such null" in text]
    assert len(said) == 2 * (3 - len(nulls))


def test_nothing_calibrated_is_said():
    empty = pd.DataFrame(columns=COUNT_COLUMNS)
    assert "nothing was calibrated" in " ".join(texts(calibration(empty, calibration_table(empty))))
