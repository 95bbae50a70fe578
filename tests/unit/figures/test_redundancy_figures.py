"""Figures of redundancy show the tables' values, survive odd tables, and say what they leave out."""

import figure_tables
import numpy as np
import pandas as pd
import pytest
import redundancy_tables as make
from drawn import artists, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb, to_rgba
from numpy.testing import assert_allclose

from grids.figures.atlas import atlas
from grids.figures.gate import gate
from grids.figures.interactions import interactions, pair_matrices
from grids.figures.knock_down import knock_down, sum_of_singles
from grids.figures.locus_view import Locus, locus_view
from grids.figures.member_effects import member_effects
from grids.figures.redundancy_index import by_gene, redundancy_index
from grids.figures.regularisation_path import regularisation_path
from grids.figures.save import save
from grids.figures.scales import CLASSES, cell_type_colours, flags, fold, index_limits, symmetric
from grids.figures.specificity import fill_stacks, specificity
from grids.figures.state_trajectory import state_trajectory
from grids.figures.style import GREY, INK, LEAST_REACH
from grids.io import tables

NO_TASKS = pd.DataFrame({"cell_type": [], "gene": []})


def joined(figure):
    return " ".join("\n".join(texts(figure)).replace("\u00a0", " ").split())


def panels(figure):
    """Gene of each panel's title -> its axes."""
    titled = [(ax.get_title(loc="left").split("\n")[0], ax) for ax in figure.axes]
    return {gene: ax for gene, ax in titled if gene}


def of(table, task):
    """A task's rows."""
    return table[(table["gene"] == task.key["gene"]) & (table["cell_type"] == task.key["cell_type"])]


def drawn(ax, label):
    (found,) = (line for line in ax.lines if line.get_label() == f"_{label}")
    return found


@pytest.fixture(scope="module")
def tasks():
    """One task of each class and a second redundant one, sets of five."""
    return make.planted(6, 5)


def test_every_class_has_a_colour_and_a_marker_of_its_own():
    assert set(CLASSES) == set(tables.CLASSES)
    for of_classes in zip(*CLASSES.values(), strict=True):
        assert len(set(of_classes)) == len(CLASSES)


def test_made_up_tables_have_the_columns_of_the_public_ones(tasks):
    made_up = {
        "REDUNDANCY": make.redundancy(tasks),
        "MEMBER": make.members(tasks),
        "INTERACTION": make.interactions(tasks),
        "KNOCK_DOWN": make.knock_down(tasks),
        "STATE": make.state_redundancy(tasks),
    }
    for name, table in made_up.items():
        assert list(table) == getattr(tables, f"{name}_COLUMNS")
    assert set(make.specificity()) <= set(tables.SPECIFICITY_COLUMNS)


# ---------------------------------------------------------------- the data in the artists


def test_member_effects_show_alone_in_context_and_shapley(tasks):
    members = make.members(tasks)
    figure = member_effects(members)
    for task in tasks:
        own, ax = of(members, task), panels(figure)[task.key["gene"]]
        for column, label in (("alone", "alone"), ("in_context", "in_context")):
            assert_allclose(drawn(ax, label).get_xdata(), own[f"log_effect_{column}"])
            (interval,) = (c for c in ax.collections if c.get_label() == f"_{label} interval")
            ends = own[[f"log_effect_{column}_low", f"log_effect_{column}_high"]]
            assert_allclose(np.array(interval.get_segments())[:, :, 0], ends)
        assert_allclose(drawn(ax, "shapley").get_xdata(), own["shapley_value"])
        shaded = [patch for patch in ax.patches if patch.get_label() == "_backup"]
        rows = np.flatnonzero(own["is_backup"])
        assert_allclose([patch.get_y() + patch.get_height() / 2 for patch in shaded], rows)
        assert f"5 members, {len(rows)} backup" in ax.get_title(loc="left")
    assert members["is_backup"].sum() > 5  # the planted tasks do test the shading


def test_member_effects_of_a_large_set_show_the_largest_shapley_values_by_rank():
    members = make.members(make.planted(1, 30)).sample(frac=1, random_state=0)
    members["shapley_value"] = -np.where(members["rank"] > 20, members["rank"], 0.01)
    figure = member_effects(members)
    (ax,) = panels(figure).values()
    assert_allclose(drawn(ax, "shapley").get_xdata()[-10:], -np.arange(21.0, 31.0))
    assert [label.get_text() for label in ax.get_yticklabels()][-10:] == [str(r) for r in range(21, 31)]
    assert "12 of 30" in ax.get_title(loc="left")


def test_pair_matrices_follow_the_ranks_whatever_the_order_of_the_rows():
    pairs = pd.DataFrame(
        [("b", "a", 0.1, 0.5), ("c", "b", 0.2, 0.01), ("a", "c", 0.3, np.nan)],
        columns=["peak_1", "peak_2", "interaction_log", "q_value"],
    )
    interaction, q, labels = pair_matrices(pairs, pd.Series({"c": 1, "a": 2, "b": 4}))
    missing = np.nan
    assert labels == ["1", "2", "4"]
    assert_allclose(interaction, [[missing] * 3, [0.3, missing, missing], [0.2, 0.1, missing]])
    assert_allclose(q, [[missing] * 3, [missing] * 3, [0.01, 0.5, missing]])
    assert pair_matrices(pairs, None)[2] == ["1", "2", "3"]


def test_interactions_are_blue_for_redundant_orange_for_synergistic_and_starred_by_q(tasks):
    pairs = make.interactions(tasks)
    figure = interactions(pairs, make.members(tasks))
    for task in tasks:
        own, ax = of(pairs, task), panels(figure)[task.key["gene"]]
        (mesh,) = (c for c in ax.collections if c.get_label() == "_interaction")
        values = mesh.get_array()
        assert_allclose(np.sort(values.compressed()), np.sort(own["interaction_log"]), atol=1e-12)
        (stars,) = (c for c in ax.collections if c.get_label() == "_stars")
        assert len(stars.get_offsets()) == (own["q_value"] < 0.05).sum()
        top = values.compressed()[np.argmax(np.abs(values.compressed()))]
        red, _, blue, _ = mesh.cmap(mesh.norm(top))
        if task.kind in ("redundant", "synergistic"):
            assert (blue > red) == (task.kind == "redundant")
    assert mesh.norm.vmin == -mesh.norm.vmax  # one scale, around zero
    assert "← need each other back each other up →" in joined(figure)


def test_interactions_for_activation_are_told_in_words_that_hold_for_it(tasks):
    pairs = make.interactions(tasks).assign(direction="activate")
    text = joined(interactions(pairs, make.members(tasks).assign(direction="activate")))
    assert "more together than apart" in text and "back each other up" not in text


def test_sum_of_singles_is_the_running_sum_and_stops_at_a_missing_one():
    part = pd.DataFrame({"n_closed": [0, 1, 2, 3], "single_log_effect": [np.nan, -0.1, -0.2, np.nan]})
    assert_allclose(sum_of_singles(part), [0, -0.1, -0.3, np.nan])


def test_knock_down_draws_the_joint_curve_its_band_the_singles_and_their_sum(tasks):
    curves = make.knock_down(tasks)
    figure = knock_down(curves.sample(frac=1, random_state=1))
    for task in tasks:
        own, ax = of(curves, task), panels(figure)[task.key["gene"]]
        assert_allclose(drawn(ax, "joint").get_xdata(), np.arange(6))
        assert_allclose(drawn(ax, "joint").get_ydata(), own["log_change"])
        assert_allclose(drawn(ax, "single").get_ydata(), own["single_log_effect"])
        assert_allclose(drawn(ax, "sum of singles").get_ydata(), own["single_log_effect"].fillna(0).cumsum())
        (band,) = (c for c in ax.collections if isinstance(c, PolyCollection))
        edge = band.get_paths()[0].vertices
        assert_allclose(edge[np.isclose(edge[:, 0], 5), 1].min(), own["log_change_low"].iloc[-1])
        assert_allclose(edge[np.isclose(edge[:, 0], 5), 1].max(), own["log_change_high"].iloc[-1])
    multiplicative = next(task for task in tasks if task.kind == "multiplicative")
    ax = panels(figure)[multiplicative.key["gene"]]
    assert_allclose(drawn(ax, "joint").get_ydata(), drawn(ax, "sum of singles").get_ydata())


def test_redundancy_index_marks_each_class_in_its_row(tasks):
    table = make.redundancy(tasks)
    figure = redundancy_index(table)
    ax = figure.axes[0]
    rows = [label.get_text() for label in ax.get_yticklabels()]
    for task in tasks:
        own = of(table, task).iloc[0]
        row = rows.index(f"{own['gene']} · {own['cell_type']}")
        points = drawn(ax, task.kind)
        colour, marker = CLASSES[task.kind]
        assert (points.get_color(), points.get_marker()) == (colour, marker)
        shown = points.get_xdata()[list(points.get_ydata()).index(row)]
        assert_allclose(shown, own["redundancy_index"])
    assert joined(figure).count("not defined") == table["redundancy_index"].isna().sum() == 1
    assert "← need each other back each other up →" in joined(figure)


def test_an_index_beyond_the_axis_is_an_arrow_with_its_value(tasks):
    table = make.redundancy(tasks)
    table.loc[0, ["redundancy_index", "redundancy_index_low", "redundancy_index_high"]] = [-40.0, -90.0, 12.0]
    figure = redundancy_index(table)
    (arrow,) = artists(figure, "beyond")
    low, high = figure.axes[0].get_xlim()
    assert -2.2 < low < -2 and high < 1.7
    assert (arrow.get_marker(), arrow.get_xdata()[0]) == ("<", low)
    assert "−40" in joined(figure)


def test_genes_stay_together_highest_index_first():
    table = pd.DataFrame(
        [("A", "x", 0.1), ("B", "x", 0.9), ("A", "y", 0.5), ("B", "y", -1.0), ("C", "x", np.nan)],
        columns=["gene", "cell_type", "redundancy_index"],
    ).assign(surrogate="s", method="m", direction="silence")
    ordered = by_gene(table)
    assert list(ordered["gene"] + ordered["cell_type"]) == ["Bx", "By", "Ay", "Ax", "Cx"]


def test_specificity_puts_change_and_overlap_in_the_cell_of_both_types():
    applied = make.specificity(4, 5)
    figure = specificity(applied)
    types = sorted(set(applied["applied_to"]))
    n_own = applied.groupby("gene")["found_in"].nunique()
    for gene, part in applied.groupby("gene"):
        (mesh,) = artists(figure, gene)
        wide = part.pivot(index="found_in", columns="applied_to", values="log_change")[types]
        assert_allclose(mesh.get_array(), wide)
    overlaps = applied["jaccard"].dropna().round(2)
    shown = [text.get_text() for ax in figure.axes for text in ax.texts]
    shown = [float(text) for text in shown if text[0] in ".01"]
    assert_allclose(sorted(shown), sorted(overlaps), atol=1e-9)
    outlined = artists(figure, "own")
    assert len(outlined) == n_own.sum()
    ax = figure.axes[0]
    rows = {
        round(y - 0.5): text.get_text() for y, text in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
    }
    for box in (patch for patch in ax.patches if patch.get_label() == "_own"):
        assert types[round(box.get_x())] == rows[round(box.get_y())]


def test_specificity_of_both_directions_are_separate_matrices():
    applied = pd.concat([make.specificity(2, 4).assign(direction=d) for d in ("silence", "activate")])
    assert len(artists(specificity(applied), "MOBP")) == 2


@given(st.lists(st.integers(1, 20), min_size=1, max_size=25), st.integers(1, 4))
@settings(deadline=None)
def test_stacks_keep_the_order_and_lose_only_what_does_not_fit(sizes, n_stacks):
    stacks = fill_stacks(sizes, n_stacks, rows=30)
    flat = [size for stack in stacks for size in stack]
    assert flat == sizes[: len(flat)]
    heights = [sum(stack) + len(stack) for stack in stacks]
    assert len(stacks) <= n_stacks and max(heights) <= 30
    if len(flat) < len(sizes):
        assert len(stacks) == n_stacks and heights[-1] + sizes[len(flat)] + 1 > 30


def test_state_trajectory_draws_both_measures_at_the_levels_in_the_tables_order(tasks):
    levels = make.state_redundancy(tasks, ["young", "adult", "old"], "age_group")
    figure = state_trajectory(levels)
    upper = panels(figure)
    for task in tasks:
        own, ax = of(levels, task), upper[task.key["gene"]]
        lower = figure.axes[figure.axes.index(ax) + 1]
        assert_allclose(drawn(ax, "redundancy_index").get_ydata(), own["redundancy_index"])
        assert_allclose(drawn(lower, "joint_log_effect").get_ydata(), own["joint_log_effect"])
        assert [text.get_text() for text in lower.get_xticklabels()] == ["young", "adult", "old"]
        assert lower.get_xlabel() == "age group"
        starred = ax.get_title(loc="left").endswith("*")
        assert starred == (own["q_value_of_change"].iloc[0] < 0.05)
        colour = cell_type_colours(levels["cell_type"])[task.key["cell_type"]]
        assert to_rgb(drawn(ax, "redundancy_index").get_color()) == colour


def test_two_states_of_a_task_are_two_pairs_of_panels(tasks):
    levels = pd.concat([make.state_redundancy(tasks[:1], state=name) for name in ("condition", "age")])
    assert len(state_trajectory(levels).axes) == 4


def test_truth_values_are_read_as_tables_spell_them():
    assert flags(pd.Series([True, "True", 1, 1.0, "false", np.nan, 0])).tolist() == [True] * 4 + [False] * 3


def test_atlas_shows_every_set_once_per_grouping_with_its_median():
    redundancy, windows = make.atlas(30, 3)
    classes = pd.DataFrame({"gene": figure_tables.gene_names(30)[:20], "gene_class": ["early", "late"] * 10})
    figure = atlas(redundancy, windows, classes)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    by_type, sufficient, by_peaks, by_class = figure.axes
    assert titles[0] == "Within types, by cell type" and titles[3] == "Within types, by class of gene"
    for ax, n in ((by_type, 90), (sufficient, 90), (by_peaks, 90), (by_class, 60)):
        points = [c for c in ax.collections if not isinstance(c, PolyCollection)]
        assert sum(len(c.get_offsets()) for c in points) == n
    shown = np.concatenate([c.get_offsets()[:, 0] for c in by_type.collections if c.get_label() == "_Astro"])
    own = redundancy.loc[redundancy["cell_type"] == "Astro", "redundancy_index"]
    assert_allclose(np.sort(shown), np.sort(own))
    assert_allclose(drawn(by_type, "median Astro").get_xdata(), own.median())
    medians = [
        drawn(by_type, f"median {label.get_text()}").get_xdata()[0] for label in by_type.get_yticklabels()
    ]
    assert medians == sorted(medians, reverse=True)
    named = [label.get_text() for label in by_peaks.get_yticklabels()]
    assert [int(name.split()[0]) for name in named] == sorted(int(name.split()[0]) for name in named)


def test_atlas_leaves_out_sets_whose_index_means_nothing_and_counts_them():
    redundancy, windows = make.atlas(10, 2)
    redundancy.loc[0, "set_size"], redundancy.loc[1, "class"] = 1, "none"
    redundancy.loc[2, "redundancy_index"] = np.nan
    figure = atlas(redundancy, windows)
    points = [c for c in figure.axes[0].collections if not isinstance(c, PolyCollection)]
    assert sum(len(c.get_offsets()) for c in points) == 17
    assert "3 sets of one peak, without a joint effect or without an index left out." in joined(figure)
    assert "no set to show: 20 sets" in joined(atlas(redundancy.assign(**{"class": "none"}), windows))


def test_atlas_is_honest_about_small_groups():
    redundancy, windows = make.atlas(19, 1)
    violins = [c for c in atlas(redundancy, windows).axes[0].collections if isinstance(c, PolyCollection)]
    assert violins == []
    few = atlas(redundancy.iloc[:4], windows)
    assert artists(few, "quartiles") == [] and len(artists(few, "median Astro")) == 1
    assert artists(atlas(redundancy.iloc[:1], windows), "median Astro") == []


def test_atlas_never_pools_directions():
    redundancy, windows = make.atlas(10, 1)
    both = pd.concat([redundancy, redundancy.assign(direction="activate")])
    titles = [ax.get_title(loc="left") for ax in atlas(both, windows).axes]
    expected = {f"Within types, by cell type · {direction}" for direction in ("activate", "silence")}
    assert expected <= set(titles) and len(titles) == 6


def test_regularisation_path_rings_what_was_chosen():
    path = make.regularisation_path(strengths=(0, 0.1, 1.0, 10.0))
    figure = regularisation_path(path)
    for cell_type, ax in panels(figure).items():
        own = path[path["cell_type"] == cell_type]
        for size, part in own.groupby("n_cells_per_metacell"):
            assert_allclose(drawn(ax, f"{size} cells").get_ydata(), part["validation_deviance"])
        ring, best = drawn(ax, "chosen"), own[own["chosen"]].iloc[0]
        labels = [text.get_text() for text in ax.get_xticklabels()]
        assert labels == ["0", "0.1", "1", "10"]
        assert float(labels[ring.get_xdata()[0]]) == best["strength"]
        assert ring.get_ydata()[0] == best["validation_deviance"]


def test_regularisation_path_does_not_blow_up_differences_of_nothing():
    path = make.regularisation_path()
    path["validation_deviance"] = 1.1 + 1e-5 * np.arange(len(path))
    for ax in regularisation_path(path).axes:
        low, high = ax.get_ylim()
        assert high - low > 0.02 and low < 1.1 < high


# ---------------------------------------------------------------- alternative sets on the locus


@pytest.fixture(scope="module")
def locus():
    """The arguments of a locus view whose gene lies in the middle of chr1, and the peaks' positions by name."""
    genes = figure_tables.genes(20)
    genes.loc[genes["gene"] == "MOBP", ["start", "end", "tss"]] = [20_000_000, 20_060_000, 20_000_000]
    peaks = figure_tables.accessibility(800)
    task = pd.DataFrame({"cell_type": ["Astro"], "gene": ["MOBP"]})
    windows = figure_tables.windows(genes[genes["gene"] == "MOBP"], peaks)
    return (
        ("Astro", "MOBP"),
        figure_tables.sets(task, genes, peaks, size=4, share_near=1),
        Locus(genes, windows, peaks),
    )


def test_locus_has_a_line_of_ticks_for_each_alternative_set(locus):
    sets, peaks = locus[1], locus[-1].accessibility
    alternatives = make.alternative_sets(sets, peaks)
    figure = locus_view(*locus, alternatives=alternatives)
    low, high = figure.axes[0].get_xlim()
    for number, label, colour in ((1, "97 %", INK), (2, "93 %", INK), (3, "50 %", GREY)):
        (ticks,) = artists(figure, f"alternative {number}")
        own = peaks[peaks["peak"].isin(alternatives.loc[alternatives["alternative"] == number, "peak"])]
        own = own[(own["chromosome"] == "chr1") & (own["end"] > low) & (own["start"] < high)]
        assert len(own) > 1
        assert_allclose(np.sort(np.array(ticks.get_segments())[:, 0, 0]), (own["start"] + own["end"]) / 2)
        assert to_rgba(ticks.get_edgecolor()[0]) == to_rgba(colour)
        assert f"alternative {number}: {label}" in joined(figure)
    assert artists(figure, "alternative 0") == []  # the arcs show it


def test_locus_caps_alternatives_and_says_so(locus):
    sets, peaks = locus[1], locus[-1].accessibility
    alternatives = make.alternative_sets(sets, peaks, shares=[0.9] * 5)
    figure = locus_view(*locus, alternatives=alternatives, max_alternatives=3)
    assert artists(figure, "alternative 4") == []
    assert "2 further alternative sets are not shown." in joined(figure)


def test_locus_without_alternatives_of_its_task_is_drawn_as_before(locus, tmp_path):
    sets, peaks = locus[1], locus[-1].accessibility
    alternatives = make.alternative_sets(sets, peaks)
    others = [None, alternatives[alternatives["alternative"] == 0], alternatives.assign(gene="MOG")]
    for i, table in enumerate(others):
        save(locus_view(*locus, alternatives=table), tmp_path / f"{i}.svg")
    save(locus_view(*locus, alternatives=alternatives), tmp_path / "with.svg")
    drawings = {(tmp_path / f"{i}.svg").read_bytes() for i in range(len(others))}
    assert len(drawings) == 1 and (tmp_path / "with.svg").read_bytes() not in drawings


# ---------------------------------------------------------------- odd tables


def figures_of(tasks):
    """Every figure that has a panel or row per task."""
    members = make.members(tasks)
    return {
        "member_effects": lambda change: member_effects(change(members)),
        "interactions": lambda change: interactions(change(make.interactions(tasks)), members),
        "knock_down": lambda change: knock_down(change(make.knock_down(tasks))),
        "redundancy_index": lambda change: redundancy_index(change(make.redundancy(tasks))),
        "state_trajectory": lambda change: state_trajectory(change(make.state_redundancy(tasks))),
    }


NAMES = ["member_effects", "interactions", "knock_down", "redundancy_index", "state_trajectory"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", NAMES)
def test_missing_values_everywhere_are_drawn_as_gaps(name, tasks, tmp_path):
    def without_numbers(table):
        return table.assign(**dict.fromkeys(table.select_dtypes(float), np.nan))

    rng = np.random.default_rng(0)

    def with_holes(table):
        return table.assign(
            **{c: table[c].mask(rng.random(len(table)) < 0.4) for c in table.select_dtypes(float)}
        )

    for change in (without_numbers, with_holes):
        save(figures_of(tasks)[name](change), tmp_path / f"{name}.svg")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", NAMES)
def test_names_and_sizes_of_any_kind_fit(name, tmp_path):
    for size in (1, 2, 60):
        tasks = make.planted(2, size)
        tasks[0].key.update(cell_type="L2/3 intratelencephalic neurons (Cux2, Rorb)", gene="A$B$_{x}")
        tasks[1].key.update(cell_type="CD8+ T", gene="ENSMUSG00000104217.2-antisense-long")
        figure = figures_of(tasks)[name](lambda table: table)
        save(figure, tmp_path / f"{name}.png")


@pytest.mark.parametrize("name", NAMES)
def test_tasks_beyond_the_cap_are_counted(name):
    tasks = make.planted(65, 3, 8)
    text = joined(figures_of(tasks)[name](lambda table: table))
    n_shown = 60 if name == "redundancy_index" else 30
    assert f"The {n_shown} tasks" in text and f"{65 - n_shown} more are in the tables." in text


def test_capped_figures_keep_the_strongest_tasks():
    tasks = make.planted(8, 3, 8, kinds=["multiplicative"])
    strongest = [task.key["gene"] for task in sorted(tasks, key=lambda task: -task.full)[:3]]
    assert list(panels(member_effects(make.members(tasks), max_tasks=3))) == strongest
    assert list(panels(knock_down(make.knock_down(tasks), max_tasks=3))) == strongest
    assert list(panels(state_trajectory(make.state_redundancy(tasks), max_tasks=3))) == strongest


def test_only_the_largest_set_of_a_task_is_shown():
    small, large = make.planted(1, 2), make.planted(1, 4)
    members = pd.concat([make.members(small), make.members(large)])
    (ax,) = panels(member_effects(members)).values()
    assert_allclose(drawn(ax, "alone").get_xdata(), make.members(large)["log_effect_alone"])


def test_specificity_fits_many_types_and_genes(tmp_path):
    figure = specificity(make.specificity(60, 8))
    assert "The 30 genes with the strongest effect are shown, 30 more are in the tables." in joined(figure)
    many = make.specificity(3, 45)
    holes = many.assign(log_change=many["log_change"].where(np.arange(len(many)) % 3 > 0))
    save(specificity(holes), tmp_path / "many.svg")
    save(specificity(many.assign(log_change=np.nan, jaccard=np.nan)), tmp_path / "missing.svg")
    save(specificity(make.specificity(1, 2)), tmp_path / "one.svg")


def test_empty_tables_say_so(tasks, tmp_path):
    redundancy, windows = make.atlas(3, 1)
    figures = {
        "no members": member_effects(make.members(tasks).iloc[:0]),
        "no pairs": interactions(make.interactions(tasks).iloc[:0], make.members(tasks)),
        "no knock-down curves": knock_down(make.knock_down(tasks).iloc[:0]),
        "no redundancy: ": redundancy_index(make.redundancy(tasks).iloc[:0]),
        "no specificity": specificity(make.specificity().iloc[:0]),
        "no states": state_trajectory(make.state_redundancy(tasks).iloc[:0]),
        "no gene was judged": gate(make.gate(3).iloc[:0], NO_TASKS, 0.05),
        "no gene was judged by the quality gate": gate(
            make.gate(3).assign(passed_gate=np.nan), NO_TASKS, 0.05
        ),
        "no redundancy": atlas(redundancy.iloc[:0], windows),
        "no regularisation path": regularisation_path(make.regularisation_path().iloc[:0]),
    }
    for text, figure in figures.items():
        assert text in joined(figure)
        save(figure, tmp_path / "empty.png")


def test_colour_scale_is_symmetric_and_not_washed_out_by_few_large_values():
    norm, extend = symmetric(np.array([-0.5, 0.2, np.nan]))
    assert (norm.vmin, norm.vmax, extend) == (-0.5, 0.5, "neither")
    norm, extend = symmetric(np.append(np.linspace(-0.1, 0.1, 500), 50.0))
    assert 0.1 <= norm.vmax < 0.2 and extend == "both"
    for nothing in ([np.nan], [0.0] * 4, [1e-9, -2e-9]):  # 1e-9 is no saturated colour
        norm, extend = symmetric(np.array(nothing))
        assert (norm.vmin, norm.vmax, extend) == (-LEAST_REACH, LEAST_REACH, "neither")


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=8))
@settings(deadline=None)
def test_index_axis_always_holds_zero_and_one_and_never_runs_away(values):
    low, high = index_limits(np.array(values))
    assert -2.1 < low < -0.25 and 1.05 < high < 1.6


def test_folded_labels_keep_their_words_and_breaks():
    text = "a rather long label that does not fit into a small figure\nsecond"
    assert fold(text, 7.2) == text
    folded = fold(text, 2.6)
    assert folded.split() == text.split() and max(map(len, folded.split("\n"))) <= 46
    assert folded.endswith("\nsecond")
