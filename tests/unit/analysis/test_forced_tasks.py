"""Tasks that did not pass the quality gate and were explained all the same are marked wherever they appear."""

import figure_tables as make
import numpy as np
import pandas as pd
import pytest
import redundancy_tables as planted

from grids.analysis.atlas import summarise_atlas
from grids.analysis.contacts.measurement import _summarise
from grids.figures import style, tasks
from grids.figures.atlas import atlas
from grids.figures.before_after import before_after
from grids.figures.effect_against_null import effect_against_null
from grids.figures.effect_by_set_size import effect_by_set_size
from grids.figures.interactions import interactions
from grids.figures.knock_down import knock_down
from grids.figures.locus_view import Locus, locus_view
from grids.figures.member_effects import member_effects
from grids.figures.member_locations import member_locations
from grids.figures.redundancy_index import redundancy_index
from grids.figures.set_recovery import set_recovery
from grids.figures.specificity import specificity
from grids.figures.state_trajectory import state_trajectory
from grids.io.levels import ALL_TYPES
from grids.io.tables import counted, is_forced, mark_gate, read, write

TASKS = planted.planted(4, 3)
EFFECTS = make.effects(make.tasks(4), size=3)
GENES, PEAKS = make.genes(), make.accessibility(200)
SETS = make.sets(make.tasks(4), GENES, PEAKS, size=3)
TRUTH, FOUND = make.truth(n_per_logic=1)
# A figure from its table, and how often the hatching of one forced task appears in it.
FIGURES = {
    "redundancy_index": (redundancy_index, planted.redundancy(TASKS), 1),
    "member_effects": (member_effects, planted.members(TASKS), 1),
    "knock_down": (knock_down, planted.knock_down(TASKS), 1),
    "interactions": (lambda t: interactions(t, planted.members(TASKS)), planted.interactions(TASKS), 1),
    "state_trajectory": (state_trajectory, planted.state_redundancy(TASKS), 2),
    "effect_against_null": (lambda t: effect_against_null(t, make.null(EFFECTS, 20)), EFFECTS, 1),
    "effect_by_set_size": (effect_by_set_size, EFFECTS, 1),
    "before_after": (before_after, make.cells(EFFECTS, 20), 1),
    "member_locations": (lambda t: member_locations(t, GENES, make.windows(GENES, PEAKS), PEAKS), SETS, 1),
    "set_recovery": (lambda t: set_recovery(TRUTH, t), FOUND, 1),
}


def hatched(figure):
    return [artist for artist in figure.findobj() if artist.get_label() == "_forced"]


def words(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_hatches_forced_tasks_and_explains_it(name):
    draw, table, times = FIGURES[name]
    is_first = table["gene"] == table["gene"].iloc[0]
    figure = draw(table.assign(passed_gate=~is_first))
    assert len(hatched(figure)) == times and words(figure).count(tasks.FORCED_WORDS) == 1
    assert all(artist.get_hatch() == tasks.FORCED["hatch"] for artist in hatched(figure))
    for passed in (
        {},
        {"passed_gate": True},
        {"passed_gate": np.nan},
    ):  # missing: unpaired cells are not judged
        figure = draw(table.assign(**passed))
        assert not hatched(figure) and tasks.FORCED_WORDS not in words(figure)


def test_a_forced_row_is_the_tasks_own():
    table = planted.redundancy(TASKS)
    ax = redundancy_index(table.assign(passed_gate=table["gene"] != "MOG")).axes[0]
    (band,) = hatched(ax.figure)
    row = [label.get_text().split(" ")[0] for label in ax.get_yticklabels()].index("MOG")
    assert band.get_y() == row - 0.5 and band.get_height() == 1


def test_specificity_hatches_what_failed_in_the_rows_or_in_the_columns_type():
    table = planted.specificity(1, 3).assign(passed_gate=True, passed_gate_where_applied=[True, False, True])
    assert len(hatched(specificity(table))) == 1
    assert len(hatched(specificity(table.assign(passed_gate=False)))) == 3
    assert not hatched(specificity(table.drop(columns=["passed_gate", "passed_gate_where_applied"])))


def test_the_locus_of_a_forced_task_says_so():
    task = (SETS["cell_type"].iloc[0], SETS["gene"].iloc[0])
    locus = Locus(GENES, make.windows(GENES, PEAKS), PEAKS)
    forced = locus_view(task, SETS.assign(passed_gate=False), locus)
    assert len(hatched(forced)) == 1 and tasks.FORCED_WORDS in forced.axes[0].get_title(loc="left")
    passed = locus_view(task, SETS.assign(passed_gate=True), locus)
    assert not hatched(passed) and tasks.FORCED_WORDS not in passed.axes[0].get_title(loc="left")


def test_an_effect_of_nothing_looks_like_nothing():
    tiny = dict.fromkeys(("log_effect_in_context", "log_effect_alone"), 1e-09)
    task = (SETS["cell_type"].iloc[0], SETS["gene"].iloc[0])
    figure = locus_view(task, SETS.assign(**tiny), Locus(GENES, make.windows(GENES, PEAKS), PEAKS))
    assert "e-09" not in " ".join(text.get_text() for text in figure.findobj() if hasattr(text, "get_text"))
    widths = [patch.get_linewidth() for patch in figure.axes[0].patches]
    assert max(widths) < 0.51
    members = planted.members(TASKS)
    members[members.select_dtypes(float).columns] *= 1e-9
    for ax in member_effects(members).axes:
        low, high = ax.get_xlim()
        assert high - low >= style.LEAST_REACH
    texts = {value: style.effect_number(value) for value in (1e-9, -0.0049, -0.0051, 0.3, np.nan)}
    assert list(texts.values()) == ["0.00", "0.00", "−0.0051", "0.3", "–"]


def test_the_gate_is_joined_by_task_behind_what_names_it(tmp_path):
    table = pd.DataFrame(
        {"surrogate": "s", "cell_type": ["A", "A", "B", ALL_TYPES], "gene": ["x", "y", "x", "1"],
         "direction": "silence", "set_size": 2}
    )  # fmt: skip
    judged = pd.DataFrame(
        {
            "cell_type": ["A", "B", "A", "A"],
            "gene": ["x", "x", "y", "x"],
            "passed_gate": [True, False, True, True],
        }
    )
    marked = mark_gate(table, judged)
    names = ["level", "surrogate", "cell_type", "gene", "direction", "passed_gate", "set_size"]
    assert list(marked.columns) == names and marked["level"].tolist() == ["within_type"] * 3 + [
        "across_types"
    ]
    assert marked["passed_gate"].tolist()[:3] == [True, True, False] and pd.isna(marked["passed_gate"][3])
    write(marked, tmp_path / "marked.tsv")
    back = read(tmp_path / "marked.tsv")
    assert is_forced(back).tolist() == is_forced(marked).tolist() == [False, False, True, False]
    assert list(mark_gate(table.iloc[:0], judged).columns) == list(marked.columns)
    unpaired = mark_gate(table, judged.assign(passed_gate=np.nan))
    assert unpaired["passed_gate"].isna().all() and not is_forced(unpaired).any()
    applied = table.assign(applied_to=["B", "B", "A", "A"]).drop(columns="set_size")
    twice = mark_gate(mark_gate(applied, judged), judged, "applied_to", "there")
    assert list(twice.columns)[-2:] == ["passed_gate", "there"] and twice["there"].tolist()[0] is False


def test_summaries_count_forced_tasks_only_where_there_are_no_others():
    table = pd.DataFrame({"gene": ["a", "b", "c"], "passed_gate": [True, False, np.nan]})
    assert counted(table)["gene"].tolist() == ["a", "c"]
    assert counted(table.assign(passed_gate=False))["gene"].tolist() == ["a", "b", "c"]
    assert counted(table.drop(columns="passed_gate"))["gene"].tolist() == ["a", "b", "c"]


def test_the_atlas_leaves_forced_tasks_out_and_says_so():
    redundancy, windows = planted.atlas(10, 2)
    is_first = redundancy["gene"] == redundancy["gene"].iloc[0]
    some = redundancy.assign(passed_gate=~is_first)
    without = summarise_atlas(redundancy[~is_first].assign(passed_gate=True), windows)
    pd.testing.assert_frame_equal(summarise_atlas(some, windows), without)
    assert (without["n_not_passed"] == 0).all()
    none = summarise_atlas(redundancy.assign(passed_gate=False), windows)
    assert (none["n_not_passed"] == none["n_sets"]).all() and len(none)
    note = atlas(some, windows).get_supxlabel()
    assert f"{is_first.sum()} sets of tasks that did not pass the quality gate left out." in note
    assert (
        "No task passed the quality gate"
        in atlas(redundancy.assign(passed_gate=False), windows).get_supxlabel()
    )


def test_the_summary_of_contacts_leaves_forced_tasks_out():
    table = pd.DataFrame(
        {
            "surrogate": "window", "method": "grids", "direction": "silence", "gene": ["a", "b", "c"],
            "passed_gate": [True, False, True], "observed_over_expected": [2.0, 9.0, 4.0], "n_bins": 1,
            "matched_observed_over_expected": 1.0, "share_in_tad": np.nan, "matched_share_in_tad": np.nan,
            "n_tad_compared": 0,
        }
    )  # fmt: skip
    (row,) = _summarise(table, 0).to_dict("records")
    assert (row["n_tasks"], row["n_not_passed"], row["enrichment"]) == (2, 0, 3.0)
    (row,) = _summarise(table.assign(passed_gate=False), 0).to_dict("records")
    assert (row["n_tasks"], row["n_not_passed"], row["enrichment"]) == (3, 3, 5.0)
