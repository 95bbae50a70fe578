"""Both levels of evidence in the figures: apart, named, and all types never taken for a type."""

import figure_tables
import pandas as pd
import pytest
import redundancy_tables as make
from drawn import artists
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb

from grids.figures.atlas import atlas
from grids.figures.knock_down import knock_down
from grids.figures.redundancy_index import redundancy_index
from grids.figures.regularisation_path import regularisation_path
from grids.figures.scales import cell_type_colours, cell_type_key, in_order_of_types
from grids.figures.set_recovery import recovery, set_recovery
from grids.figures.specificity import specificity
from grids.figures.style import INK, LIGHT
from grids.figures.tasks import share_of_levels
from grids.io.levels import ALL_TYPES


@pytest.fixture(scope="module")
def tasks():
    return make.planted()


def across(table, genes):
    """The table, and its rows of some genes once more as found across types."""
    return pd.concat([table, table[table["gene"].isin(genes)].assign(cell_type=ALL_TYPES)], ignore_index=True)


def test_all_types_take_no_colour_of_a_type_and_stand_last():
    names = ["Astro", "Oligo", "zeta"]
    colours = cell_type_colours([ALL_TYPES, *names])
    assert list(colours) == [*names, ALL_TYPES] and colours[ALL_TYPES] == to_rgb(INK)
    assert {name: colours[name] for name in names} == cell_type_colours(names)
    assert to_rgb(INK) not in cell_type_colours(map(str, range(60))).values()
    assert in_order_of_types(["zeta", ALL_TYPES, "Astro"]) == ["Astro", "zeta", ALL_TYPES]
    assert [handle.get_label() for handle in cell_type_key(colours, [ALL_TYPES, "zeta"])] == [
        "zeta",
        "across types",
    ]


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 40))
@settings(deadline=None, max_examples=40)
def test_each_level_keeps_its_share_of_what_is_shown(n_within, n_across, most):
    names = ["Astro"] * n_within + [ALL_TYPES] * n_across
    tasks = pd.DataFrame({"cell_type": names, "rank": [*range(n_within), *range(n_across)]}).sample(
        frac=1, random_state=0
    )
    shown = share_of_levels(tasks, most)
    assert len(shown) == min(most, n_within + n_across)
    n_shown = (shown["cell_type"] == "Astro").sum(), (shown["cell_type"] == ALL_TYPES).sum()
    for own, all_own in zip(n_shown, (n_within, n_across), strict=True):
        assert own >= min(all_own, most // 2)
    assert list(shown["cell_type"]) == sorted(shown["cell_type"])  # A before a


def test_levels_have_panels_of_their_own_in_the_index(tasks):
    table = across(make.redundancy(tasks), [task.key["gene"] for task in tasks[:3]])
    figure = redundancy_index(table)
    within, over = figure.axes[:2]
    assert within.get_title(loc="left") == "silence, within types: redundancy of each task's set"
    assert over.get_title(loc="left") == "silence, across types: redundancy of each task's set"
    assert len(within.get_yticklabels()) == len(tasks)
    assert [label.get_text().rpartition(" · ")[2] for label in over.get_yticklabels()] == ["across types"] * 3


def test_undecided_sets_are_pale_with_an_outline(tasks):
    table = make.redundancy(tasks)
    table["class"] = "undecided"
    figure = redundancy_index(table)
    (line,) = artists(figure, "undecided")
    assert (line.get_color(), line.get_markeredgecolor()) == (LIGHT, INK) and line.get_markeredgewidth() > 0
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["undecided"]


def test_panels_of_sets_found_across_types_come_last_in_ink(tasks):
    changes = across(make.knock_down(tasks), [task.key["gene"] for task in tasks[:2]])
    figure = knock_down(changes)
    shown = [ax for ax in figure.axes if ax.get_title(loc="left")]
    subtitles = [ax.get_title(loc="left").split("\n")[1] for ax in shown]
    assert subtitles[-2:] == ["across types"] * 2 and "across types" not in subtitles[:-2]
    assert to_rgb(artists_of(shown[-1], "joint")[0].get_color()) == to_rgb(INK)


def test_sets_found_across_types_are_a_row_that_is_no_column():
    applied = make.specificity(2, 3)
    first = applied["found_in"].iloc[0]
    over = applied[applied["found_in"] == first].assign(found_in=ALL_TYPES)
    applied = pd.concat([over, applied], ignore_index=True)
    applied["passed_gate_where_applied"] = applied["found_in"] != ALL_TYPES
    figure = specificity(applied)
    for ax in figure.axes[:-1]:
        columns = [label.get_text() for label in ax.get_xticklabels()]
        assert columns == sorted({*applied["applied_to"]})
        rows = [label.get_text() for label in ax.get_yticklabels()]
        assert rows.count("across types") == len(artists_of(ax, "across types"))
        assert len(artists_of(ax, "own")) == len(rows) - rows.count("across types")
    # The model of all types stands alone: what the column's own could not predict does not count.
    assert artists(figure, "forced") == []


def artists_of(ax, label):
    return [artist for artist in ax.get_children() if artist.get_label() == f"_{label}"]


def test_atlas_does_not_pool_the_levels():
    redundancy, windows = make.atlas(30, 3)
    redundancy = across(redundancy, figure_tables.gene_names(10))
    figure = atlas(redundancy, windows)
    panels = {ax.get_title(loc="left").partition(" (")[0]: ax for ax in figure.axes}
    assert list(panels) == [
        "Within types, by cell type", "Within types, by number of members that reach 90 % of the effect",
        "Within types, by number of peaks in the window", "Across types, all sets",
        "Across types, by number of members that reach 90 % of the effect",
        "Across types, by number of peaks in the window",
    ]  # fmt: skip
    counts = {
        title: sum(len(c.get_offsets()) for c in ax.collections if not isinstance(c, PolyCollection))
        for title, ax in panels.items()
    }
    assert [*counts.values()] == [90, 90, 90, 30, 30, 30]


def test_what_is_found_across_types_is_held_against_what_is_planted_in_any():
    truth = pd.DataFrame(
        [
            ["Astro", "A", "single", "p1", True], ["Astro", "A", "single", "p2", False],
            ["Oligo", "A", "single", "p1", False], ["Oligo", "A", "single", "p2", False],
            ["Astro", "B", "none", "p3", False],
        ],
        columns=["cell_type", "gene", "logic", "peak", "is_member"],
    )  # fmt: skip
    sets = pd.DataFrame({"cell_type": ALL_TYPES, "gene": ["A", "A", "B"], "peak": ["p2", "p1", "p3"]})
    sets = sets.assign(
        rank=[1, 2, 1], set_size=[2, 2, 1], direction="silence", method="grids", surrogate="window"
    )
    found = recovery(truth, sets).set_index("gene")
    assert found.loc["A", ["cell_type", "peak", "rank"]].tolist() == [ALL_TYPES, "p1", 2]
    assert found["peak"].isna().to_dict() == {"A": False, "B": True}
    figure = set_recovery(truth, sets)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["B · across types", "A · across types"]


def test_the_model_of_all_types_is_the_last_panel_of_the_path():
    path = make.regularisation_path()
    first = path["cell_type"].iloc[0]
    over = path[path["cell_type"] == first].assign(cell_type=ALL_TYPES)
    figure = regularisation_path(pd.concat([over, path]))
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.lines]
    assert titles == [*sorted(path["cell_type"].unique()), "across types"]
