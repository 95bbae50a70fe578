"""The figure of contacts shows the values of its tables."""

import numpy as np
import pandas as pd
import pytest
from drawn import artists, texts
from numpy.testing import assert_allclose

from grids.analysis.contacts.measurement import CONTACT_COLUMNS, CONTACT_SUMMARY_COLUMNS
from grids.figures.contacts import contacts
from grids.figures.save import save


@pytest.fixture
def table():
    rows = pd.DataFrame(
        {
            "gene": ["A", "B", "C"],
            "observed_over_expected": [1.2, 3.0, 0.4],
            "matched_observed_over_expected": [1.0, 1.1, 0.9],
            "matched_low": [0.6, 0.7, 0.5],
            "matched_high": [1.4, 1.5, 1.3],
            "q_value": [0.2, 0.01, np.nan],
            "share_in_tad": [0.5, 1.0, np.nan],
            "matched_share_in_tad": [0.6, 0.4, np.nan],
            "tad_q_value": [0.9, 0.03, np.nan],
        }
    ).reindex(columns=CONTACT_COLUMNS)
    return rows.assign(surrogate="window", method="grids", cell_type="Astro", direction="silence", set_size=5)


@pytest.fixture
def summary():
    rows = [
        ("observed_over_expected", 1.5, 1.0, 1.5, 1.2, 1.9),
        ("share_in_tad", 0.75, 0.5, 1.5, np.nan, np.nan),
    ]
    columns = [
        "measure", "mean_of_members", "mean_of_matched", "enrichment", "enrichment_low", "enrichment_high",
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns).reindex(columns=CONTACT_SUMMARY_COLUMNS)
    return table.assign(surrogate="window", method="grids", direction="silence")


def test_tasks_stand_in_the_order_of_their_excess(table, summary):
    figure = contacts(table, summary)
    ax, tads = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        *(f"{gene} · Astro" for gene in "BAC"),
        "all sets",
    ]
    filled, hollow = (a for a in artists(figure, "members") if a.axes is ax)
    assert_allclose(filled.get_xydata(), [[3.0, 0]])
    assert_allclose(hollow.get_xydata(), [[1.2, 1], [0.4, 2]])
    (matched,) = (a for a in artists(figure, "matched") if a.axes is ax)
    assert_allclose(matched.get_xdata(), [1.1, 1.0, 0.9])
    (ranges,) = artists(figure, "range")
    assert_allclose(np.array(ranges.get_segments())[:, :, 0], [[0.7, 1.5], [0.6, 1.4], [0.5, 1.3]])
    shares = np.concatenate([a.get_xdata() for a in artists(figure, "members") if a.axes is tads])
    assert_allclose(shares, [1.0, 0.5, np.nan])
    assert [a.get_xdata()[0] for a in artists(figure, "all sets")] == [1.5, 0.75]
    assert {"× 1.5 (1.2 to 1.9)", "× 1.5", "q 0.01", "q –"} <= set(texts(figure))


def test_a_panel_for_what_was_given(table, summary, tmp_path):
    without_map = table.drop(columns=table.columns[8:15]).reindex(columns=CONTACT_COLUMNS)
    figure = contacts(without_map, summary.iloc[1:])
    (ax,) = figure.axes
    assert ax.get_title(loc="left") == "In the gene's TAD"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["B · Astro", "A · Astro", "all sets"]
    assert not artists(figure, "range")
    save(figure, tmp_path / "a.svg")


def test_many_tasks_are_cut_and_counted(table, summary, tmp_path):
    many = pd.concat([table.assign(gene=table["gene"] + str(i)) for i in range(30)])
    figure = contacts(many, summary)
    assert len(figure.axes[0].get_yticklabels()) == 41
    assert "40 of 90 tasks are shown" in figure.axes[0].get_xlabel()
    save(figure, tmp_path / "a.png")


def test_nothing_measured_is_said(table, summary):
    figure = contacts(table.iloc[:0], summary.iloc[:0])
    assert "no member of a set could be held against contacts or TADs" in texts(figure)
