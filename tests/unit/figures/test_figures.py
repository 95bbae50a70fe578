"""Figures show the tables' values, survive odd tables, and are written whole and byte for byte the same."""

import subprocess
import sys
from pathlib import Path

import contact_maps as maps
import figure_tables as make
import numpy as np
import pandas as pd
import pytest
from drawn import artists, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.testing import assert_allclose

from grids.analysis.contacts.contact_map import open_contact_map
from grids.figures.before_after import before_after
from grids.figures.effect_against_null import effect_against_null
from grids.figures.effect_by_set_size import effect_by_set_size, sufficient_size
from grids.figures.latent_umap import latent_umap
from grids.figures.locus_tracks import Stretch, blocks, place_genes
from grids.figures.locus_view import Locus, locus_view
from grids.figures.member_locations import member_locations, place_shares
from grids.figures.quality_control import quality_control
from grids.figures.save import save
from grids.figures.scales import cell_type_colours
from grids.figures.set_recovery import recovery, set_recovery
from grids.figures.style import PALETTE, legend_outside, shorten
from grids.figures.surrogate_quality import genes_per_cell_type, spread, surrogate_quality
from grids.figures.training_curves import training_curves
from grids.io.errors import InputError

THRESHOLDS = {"min_fragments": 1000, "min_genes": 200, "min_tss_enrichment": 2}


def bars(ax, label):
    """All bar containers of an axes with this label, on the container or its first bar."""
    return [c for c in ax.containers if f"_{label}" in (c.get_label(), *(bar.get_label() for bar in c[:1]))]


def joined(figure):
    return "\n".join(texts(figure)).replace("\u00a0", " ")


@pytest.fixture(scope="module")
def locus():
    """Peaks, genes, windows and one task whose gene lies in the middle of chr1."""
    genes = make.genes(20)
    genes.loc[genes["gene"] == "MOBP", ["start", "end", "tss"]] = [20_000_000, 20_060_000, 20_000_000]
    peaks = make.accessibility(800)
    task = pd.DataFrame({"cell_type": ["Astro"], "gene": ["MOBP"]})
    return genes, peaks, make.windows(genes[genes["gene"] == "MOBP"], peaks), task


# ---------------------------------------------------------------- saving


def small_figure(value=1.0):
    figure = Figure(layout="constrained")
    ax = figure.subplots()
    ax.plot([0, value], [0, 1])
    ax.scatter([0.5], [0.5], rasterized=True)
    ax.set_title("text")
    return figure


def test_saved_bytes_do_not_depend_on_time_or_process(tmp_path):
    code = (
        "import sys; sys.path[:0] = [{unit!r}, {library!r}]\n"
        "import figure_tables as make\n"
        "from grids.figures.save import save\n"
        "from grids.figures.latent_umap import latent_umap\n"
        "save(latent_umap(make.latent(60)), *[{out!r} + s for s in ('.pdf', '.png', '.svg')])\n"
    )
    unit = Path(__file__).parents[1]
    library = unit.parents[1] / "workflow" / "scripts"
    code = code.format(unit=str(unit), library=str(library), out=str(tmp_path / "other"))
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"SOURCE_DATE_EPOCH": "86400", "PYTHONHASHSEED": "7"}
    )
    save(latent_umap(make.latent(60)), *[tmp_path / f"own{suffix}" for suffix in (".pdf", ".png", ".svg")])
    for suffix in (".pdf", ".png", ".svg"):
        own = (tmp_path / f"own{suffix}").read_bytes()
        assert len(own) > 1000
        assert own == (tmp_path / f"other{suffix}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 6


def test_save_writes_each_format_and_clears_the_figure(tmp_path):
    figure = small_figure()
    save(figure, tmp_path / "new" / "a.pdf", tmp_path / "a.PNG", tmp_path / "a.svg")
    assert (tmp_path / "new" / "a.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "a.PNG").read_bytes().startswith(b"\x89PNG")
    drawn = (tmp_path / "a.svg").read_text()
    assert "<svg" in drawn and ">text</text>" in drawn  # to be searched and copied
    assert figure.axes == []


def test_save_leaves_nothing_behind_on_failure(tmp_path, monkeypatch):
    (tmp_path / "a.pdf").write_text("old")
    written = []

    def fails_on_svg(self, path, **options):
        path.write_text("half")
        written.append(options["format"])
        if options["format"] == "svg":
            raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fails_on_svg)
    with pytest.raises(OSError, match="disk full"):
        save(small_figure(), tmp_path / "a.pdf", tmp_path / "a.svg")
    assert written == ["pdf", "svg"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.pdf"]
    assert (tmp_path / "a.pdf").read_text() == "old"


def test_save_refuses_other_formats(tmp_path):
    with pytest.raises(InputError, match=r"a\.jpg: a figure is written as \.pdf, \.png or \.svg"):
        save(small_figure(), tmp_path / "a.svg", tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


def test_drawing_needs_no_pyplot_and_leaves_matplotlib_settings_alone():
    code = (
        "import sys, matplotlib\n"
        "before = matplotlib.rcParams.copy()\n"
        "import figure_tables as make\n"
        "from grids.figures.training_curves import training_curves\n"
        "training_curves(make.curves(['a'], 3))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert matplotlib.rcParams.copy() == before\n"
    )
    unit = Path(__file__).parents[1]
    paths = f"{unit}:{unit.parents[1] / 'workflow' / 'scripts'}"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": paths})


# ---------------------------------------------------------------- shared helpers


@given(st.sets(st.text(min_size=1, max_size=12), min_size=1, max_size=60))
@settings(deadline=None, max_examples=25)
def test_cell_type_colours_are_distinct_and_independent_of_order(names):
    colours = cell_type_colours(sorted(names))
    assert colours == cell_type_colours(sorted(names, reverse=True))
    assert set(colours) == names
    assert len(set(colours.values())) == len(names)


def test_a_new_name_in_a_free_slot_changes_no_other_colour():
    few = cell_type_colours(["Astro", "Oligo"])
    more = cell_type_colours(["Astro", "Oligo", "Vip"])
    assert {name: more[name] for name in few} == few
    assert len(set(PALETTE)) == len(PALETTE)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_spread_keeps_order_distance_and_bounds(wanted):
    placed = spread(np.sort(wanted), 0.08)
    assert (np.diff(placed) >= 0.08 - 1e-9).all()
    assert placed[0] >= -1e-9 and placed[-1] <= 1 + 1e-9


def test_spread_leaves_positions_that_are_far_apart():
    assert_allclose(spread(np.array([0.1, 0.5, 0.9]), 0.1), [0.1, 0.5, 0.9])


def test_shorten_keeps_both_ends():
    assert shorten("short", 10) == "short"
    assert shorten("abcdefghijklmnop", 10) == "abcdef…nop"


# ---------------------------------------------------------------- the data in the artists


def test_quality_control_bars_are_shares_of_the_input():
    steps = make.quality_steps()
    figure = quality_control(steps, make.metrics(300), THRESHOLDS)
    kept, dropped = bars(figure.axes[0], "kept")[0], bars(figure.axes[0], "dropped")[0]
    # the second ATAC cell step is measured against the cells before the first
    assert_allclose([kept[2].get_width(), dropped[2].get_width()], [100 * 2149 / 2500, 100 * 41 / 2500])
    assert_allclose(kept[7].get_width(), 100 * 126208 / 127219)
    assert "2,190 of 2,500 kept, 310 dropped: fewer than 1,000 fragments" in texts(figure)
    assert len(bars(figure.axes[0], "not applied")[0]) == 0


def test_quality_control_steps_that_were_not_applied_are_hollow_and_reasons_are_wrapped():
    steps = make.quality_steps().iloc[:3].copy()
    reason = "not applied: obs has no TSS enrichment (none of tss_enrichment, TSS.enrichment, tss_score)"
    steps.loc[2, ["n_dropped", "n_after", "reason"]] = 0, 2190, reason
    figure = quality_control(steps, make.metrics(50), THRESHOLDS)
    hollow = bars(figure.axes[0], "not applied")[0]
    assert len(bars(figure.axes[0], "kept")[0]) == 2
    assert [bar.get_facecolor() for bar in hollow] == [to_rgba("white")]
    assert_allclose(hollow[0].get_y() + hollow[0].get_height() / 2, 2)
    shown = next(text for text in texts(figure) if text.startswith("not applied"))
    assert shown.count("\n") == 1
    assert shown.replace("\n", " ") == reason


def test_quality_control_histograms_count_every_cell_and_mark_the_thresholds():
    metrics = make.metrics(300)
    metrics.loc[metrics["cell"] == "cell_0", "n_fragments"] = 0
    figure = quality_control(make.quality_steps(), metrics, THRESHOLDS)
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes}
    fragments = panels["ATAC: fragments per cell"]
    for label, wanted in (("kept", True), ("dropped", False)):
        counted = sum(bar.get_height() for bar in bars(fragments, label)[0])
        cells = metrics[(metrics["modality"] == "atac") & (metrics["n_fragments"] > 0)]
        assert counted == (cells["kept"] == wanted).sum()
    assert "(1 cells with 0 not shown)" in fragments.get_xlabel()
    assert [line.get_xdata()[0] for line in fragments.lines if line.get_label() == "_threshold"] == [1000]
    assert "ATAC: counts per cell" not in panels  # fragments say it already


def test_quality_control_of_paired_cells_names_the_modality_of_each_metric():
    metrics = make.metrics(50)
    rna, atac = (metrics[metrics["modality"] == name].reset_index(drop=True) for name in ("rna", "atac"))
    paired = rna.assign(modality="paired", n_fragments=atac["n_fragments"], tss_enrichment=np.nan)
    figure = quality_control(empty(make.quality_steps()), paired, THRESHOLDS)
    titles = [ax.get_title(loc="left") for ax in figure.axes[1:]]
    assert titles == ["ATAC: fragments per cell", "RNA: genes per cell", "RNA: counts per cell"]


def test_training_curves_have_a_panel_per_loss_and_validation_where_the_stage_is_judged():
    figure = training_curves(make.curves(["Astro"], epochs=3))
    splits = {
        ax.get_title(loc="left"): {
            line.get_label().split()[-1] for line in ax.lines if " " in line.get_label()
        }
        for ax in figure.axes
        if ax.lines
    }
    both, training = {"train", "validation"}, {"train"}
    assert splits == {
        "ATAC autoencoder\nreconstruction": both,
        "RNA autoencoder\nreconstruction": both,
        "mapping\nsupervised": both,
        "mapping\ncycle ATAC": training,
        "mapping\ncycle RNA": training,
        "mapping\nadversarial": training,
        "specialisation\nsupervised": both,
    }


def test_training_curves_show_every_value_and_the_best_epoch():
    curves = make.curves(["Astro", "Oligo"], epochs=12)
    figure = training_curves(curves)
    part = curves[(curves["stage"] == "specialisation") & (curves["loss"] == "supervised")]
    ax = next(ax for ax in figure.axes if ax.get_title(loc="left") == "specialisation\nsupervised")
    for name in ("Astro", "Oligo"):
        for split in ("train", "validation"):
            line = next(line for line in ax.lines if line.get_label() == f"_{name} {split}")
            own = part[(part["cell_type"] == name) & (part["split"] == split)]
            assert_allclose(line.get_ydata(), own["value"])
            assert_allclose(to_rgba(line.get_color())[:3], cell_type_colours(["Astro", "Oligo"])[name])
    own = part[(part["cell_type"] == "Oligo") & (part["split"] == "validation")]
    best = own.loc[own["value"].idxmin()]
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert (best["epoch"], best["value"]) in [(d.get_xdata()[0], d.get_ydata()[0]) for d in dots]


def test_surrogate_quality_sets_each_gene_against_the_best_baseline():
    quality = make.quality(50)
    tasks = make.tasks(3)
    figure = surrogate_quality(quality, tasks)
    overall = quality[quality["cell_type"].isna()].pivot(index="gene", columns="model", values="pearson_r")
    medians = overall.drop(columns="cross_modality").median()
    best = medians.idxmax()
    shown = np.vstack(
        [a.get_offsets() for label in ("genes", "task genes") for a in artists(figure, label)[:1]]
    )
    expected = overall[[best, "cross_modality"]].to_numpy()
    assert_allclose(shown[np.argsort(shown[:, 0])], expected[np.argsort(expected[:, 0])])
    marked = artists(figure, "task genes")[0].get_offsets()
    assert_allclose(np.sort(marked[:, 1]), np.sort(overall.loc[tasks["gene"], "cross_modality"]))
    dot = artists(figure, "median lsi_ridge")[0]
    assert_allclose(dot.get_xdata(), medians["lsi_ridge"])
    assert {"MOBP", "MOG", "GJA1"} <= set(texts(figure))


def test_surrogate_quality_shows_the_surrogate_that_the_table_has():
    quality = make.quality(50)
    figure = surrogate_quality(quality.replace({"model": {"cross_modality": "window"}}))
    assert "window surrogate" in texts(figure)
    assert "cross-modality surrogate" not in texts(figure)
    assert len(artists(figure, "genes")) == 2


def test_shares_of_genes_per_cell_type():
    rows = [
        ("cross_modality", "Astro", "A", 0.5, True), ("cross_modality", "Astro", "B", 0.9, False),
        ("cross_modality", "Oligo", "A", 0.5, "False"), ("cross_modality", "Oligo", "B", np.nan, "True"),
        ("cell_type_mean", "Astro", "A", 0.6, ""), ("cell_type_mean", "Astro", "B", 0.8, ""),
        ("cell_type_mean", "Oligo", "A", 0.7, ""), ("cell_type_mean", "Oligo", "B", 0.7, ""),
    ]  # fmt: skip
    quality = pd.DataFrame(rows, columns=["model", "cell_type", "gene", "rmse", "beats_type_mean"])
    shares = genes_per_cell_type(quality, "cross_modality")
    assert shares["better"].to_dict() == {"Astro": 0.5, "Oligo": 1.0}
    assert shares["beats_type_mean"].to_dict() == {"Astro": 0.5, "Oligo": 0.5}


def test_latent_umap_shows_every_cell_in_its_colour():
    latent = make.latent(80)
    figure = latent_umap(latent)
    after = latent[latent["mapping"] == "after"]
    points = artists(figure, "after cell_type")[0]
    shown = np.column_stack([points.get_offsets(), points.get_facecolors()[:, :3]])
    colours = cell_type_colours(latent["cell_type"])
    expected = np.column_stack([after[["umap_1", "umap_2"]], [colours[name] for name in after["cell_type"]]])
    assert_allclose(shown[np.lexsort(shown.T[:2])], expected[np.lexsort(expected.T[:2])])
    assert len(artists(figure, "before modality")[0].get_offsets()) == 160


def test_effect_against_null_sorts_fills_and_annotates():
    effects = make.effects(make.tasks(6), missing_q=(2,))
    figure = effect_against_null(effects, make.null(effects))
    full = effects[effects["set_size"] == 10].sort_values("log_change")
    points = artists(figure, "observed")[0]
    assert_allclose(points.get_offsets()[:, 0], full["log_change"])
    decided = full["q_value"].fillna(full["p_value"]).to_numpy()
    white = (points.get_facecolors()[:, :3] == 1).all(axis=1)
    assert (white == (decided >= 0.05)).all()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == list(full["gene"] + " · " + full["cell_type"])
    assert "–" in texts(figure)  # the missing q


def test_effect_against_null_draws_the_tasks_own_null():
    effects = make.effects(make.tasks(2))
    null = make.null(effects, 60)
    null.loc[null["gene"] == "MOG", "log_change"] += 5.0
    figure = effect_against_null(effects, null)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    bodies = [c for c in figure.axes[0].collections if c.get_label() != "_observed"]
    extents = [body.get_paths()[0].vertices[:, 0] for body in bodies]
    row = next(i for i, name in enumerate(names) if name.startswith("MOG"))
    own = null.loc[null["gene"] == "MOG", "log_change"]
    assert_allclose([extents[row].min(), extents[row].max()], [own.min(), own.max()])
    assert extents[1 - row].max() < 1


def test_effect_against_null_has_a_panel_per_direction_and_a_cap():
    tasks = make.tasks(200)
    both = pd.concat([make.effects(tasks, 1), make.effects(tasks, 1, "activate")])
    figure = effect_against_null(both, make.null(both, 3), max_tasks=60)
    silence, activate = (a.get_offsets()[:, 0] for a in artists(figure, "observed"))
    assert_allclose(silence, np.sort(both.loc[both["direction"] == "silence", "log_change"])[:30])
    assert_allclose(activate, np.sort(both.loc[both["direction"] == "activate", "log_change"])[::-1][:30])
    assert "The 30 tasks with the strongest effect are shown, 170 more are in the tables." in joined(figure)


def test_before_after_means_and_lines_are_the_cells():
    effects = make.effects(make.tasks(1))
    cells = make.cells(effects, 30)
    figure = before_after(cells)
    for column in ("observed", "before", "after"):
        assert_allclose(artists(figure, f"mean {column}")[0].get_ydata(), cells[column].mean())
    lines = np.array(artists(figure, "cells")[0].get_segments())[:, :, 1]
    assert_allclose(lines, cells.sort_values("before")[["before", "after"]])


def test_before_after_shows_the_largest_changes_first():
    cells = make.cells(make.effects(make.tasks(12)), 20)
    change = cells.assign(change=cells["after"] - cells["before"]).groupby("gene")["change"].mean().abs()
    figure = before_after(cells, max_tasks=7)
    titles = [ax.get_title(loc="left").split("\n")[0] for ax in figure.axes if ax.get_title(loc="left")]
    assert titles == list(change.sort_values(ascending=False).index[:7])
    assert "5 more are in the tables" in joined(figure)


def test_effect_by_set_size_plots_effect_null_and_the_sufficient_size():
    effects = make.effects(make.tasks(1), size=10)
    figure = effect_by_set_size(effects)
    line = artists(figure, "effect")[0]
    assert_allclose(line.get_xdata(), np.arange(1, 11))
    assert_allclose(line.get_ydata(), effects["log_change"])
    band = artists(figure, "null")[0].get_paths()[0].vertices
    edge = (effects["null_mean"] - 2 * effects["null_sd"]).iloc[-1]
    assert_allclose(band[np.isclose(band[:, 0], 10), 1].min(), edge)
    ring = artists(figure, "sufficient")[0]
    assert ring.get_xdata()[0] == sufficient_size(effects) == 7
    assert "90% at 7 of 10" in joined(figure)


def test_sufficient_size_is_the_smallest_that_reaches_the_share():
    frame = pd.DataFrame({"set_size": [3, 1, 2], "log_change": [-1.0, -0.5, -0.9], "direction": "silence"})
    assert sufficient_size(frame) == 2
    assert sufficient_size(frame, share=0.95) == 3
    assert sufficient_size(frame.assign(log_change=-frame["log_change"])) is None


def test_place_shares_and_chance():
    peaks = pd.DataFrame(
        {
            "peak": list("abcdefgh"),
            "chromosome": ["chr1"] * 5 + ["chr2"] * 3,
            "start": [0, 100, 200, 900, 5000, 100, 200, 300],
            "end": [50, 150, 250, 950, 5050, 150, 250, 350],
        }
    )
    genes = pd.DataFrame({"gene": ["G"], "chromosome": ["chr1"], "start": [90], "end": [201]})
    windows = pd.DataFrame({"peak": list("abcd"), "gene": "G"})
    sets = peaks.iloc[[1, 3, 4, 6]].assign(
        surrogate="s", method="m", cell_type="t", gene="G", direction="silence", set_size=4
    )
    shares = place_shares(sets, genes, windows, peaks).iloc[0]
    places = ["overlaps the gene", "in the gene's window", "elsewhere on its chromosome", "other chromosomes"]
    assert shares[places].to_list() == [0.25, 0.25, 0.25, 0.25]
    assert shares[[f"{place} by chance" for place in places]].to_list() == [0.25, 0.25, 0.125, 0.375]
    figure = member_locations(sets, genes, windows, peaks)
    assert bars(figure.axes[0], "overlaps the gene")[0][0].get_width() == 25
    assert bars(figure.axes[0], "other chromosomes by chance")[0][0].get_width() == 37.5
    assert "2 of 4 (2)" in texts(figure)


def test_recovery_of_planted_members():
    truth = pd.DataFrame(
        [
            ("A", "t", "redundant", "p1", True), ("A", "t", "redundant", "p2", True),
            ("A", "t", "redundant", "decoy", False), ("B", "t", "none", "p9", False),
            ("not run", "t", "single", "p3", True),
        ],
        columns=["gene", "cell_type", "logic", "peak", "is_member"],
    )  # fmt: skip
    base = {"surrogate": "s", "method": "m", "cell_type": "t", "direction": "silence", "set_size": 2}
    sets = pd.DataFrame(
        [{**base, "gene": g, "rank": r, "peak": p} for g, r, p in
         [("A", 1, "decoy"), ("A", 2, "p2"), ("B", 1, "x"), ("B", 2, "p9")]]
    )  # fmt: skip
    found = recovery(truth, sets)
    assert found.fillna("-")[["gene", "peak", "rank"]].to_numpy().tolist() == [
        ["A", "p1", "-"], ["A", "p2", 2.0], ["B", "-", "-"],
    ]  # fmt: skip
    figure = set_recovery(truth, sets)
    assert [len(a.get_offsets()) for a in artists(figure, "found")] == [1]
    assert [len(a.get_offsets()) for a in artists(figure, "missed")] == [1]
    assert bars(figure.axes[1], "share redundant")[0][0].get_width() == 50
    assert "nothing planted" in texts(figure)


def test_set_recovery_on_the_demos_kind_of_table():
    truth, sets = make.truth()
    figure = set_recovery(truth, sets)
    members = truth["is_member"].sum()
    n_found = sum(len(a.get_offsets()) for a in artists(figure, "found"))
    n_missed = sum(len(a.get_offsets()) for a in artists(figure, "missed"))
    assert n_found + n_missed == members
    assert n_found == truth[truth["is_member"]].merge(sets, on=["gene", "cell_type", "peak"]).shape[0]


# ---------------------------------------------------------------- locus


def test_locus_arcs_join_the_tss_and_the_members(locus):
    genes, peaks, windows, task = locus
    sets = make.sets(task, genes, peaks, size=10)
    figure = locus_view(("Astro", "MOBP"), sets, Locus(genes, windows, peaks))
    near = sets[(sets["chromosome"] == "chr1") & (sets["distance_to_tss_bp"].abs() < 480_000)]
    assert len(near) >= 5
    widths = []
    for member in near.itertuples():
        (arc,) = artists(figure, member.peak)
        ends = arc.get_path().vertices[[0, -1], 0]
        assert_allclose(ends, [20_000_000, (member.start + member.end) / 2])
        widths.append(arc.get_linewidth())
    order = near["log_effect_in_context"].abs().to_numpy()
    assert (np.argsort(widths) == np.argsort(order)).all()
    assert "4 members on other chromosomes" in joined(figure) or "elsewhere on chr1" in joined(figure)
    assert "position on chr1 (Mb)" in texts(figure)


def test_locus_tracks_show_the_share_of_open_cells(locus):
    genes, peaks, windows, task = locus
    sets = make.sets(task, genes, peaks)
    figure = locus_view(("Astro", "MOBP"), sets, Locus(genes, windows, peaks), max_types=3)
    low, high = figure.axes[0].get_xlim()
    here = peaks[(peaks["chromosome"] == "chr1") & (peaks["end"] > low) & (peaks["start"] < high)]
    heights = np.array(artists(figure, "Astro")[0].get_segments())[:, 1, 1]
    assert_allclose(heights, 100 * here["Astro"])
    assert len(artists(figure, "L2/3 IT")) == 1 and len(artists(figure, "Oligo")) == 0
    assert "4 further cell types are not shown." in joined(figure)


def test_locus_without_a_member_in_view_lists_where_they_are(locus):
    genes, peaks, windows, task = locus
    sets = make.sets(task, genes, peaks, size=3, share_near=0)
    sets[["chromosome", "start", "end"]] = [["chr2", 1_500_000, 1_500_500]] * 2 + [["chr1", 0, 500]]
    figure = locus_view(("Astro", "MOBP"), sets, Locus(genes, windows, peaks))
    assert "no member of the set lies in this stretch" in texts(figure)
    assert "2 members on other chromosomes (rank, effect in context): chr2:1.50 Mb (1," in joined(figure)
    assert "1 member elsewhere on chr1 (rank, effect in context): chr1:0.00 Mb (3," in joined(figure)


@pytest.fixture(scope="module")
def contacts(tmp_path_factory):
    """A map of chr1 whose contacts fall with the distance; balancing has masked one bin in the locus."""
    sizes, resolution_bp = {"chr1": 41_000_000}, 50_000
    n_bins = len(maps.bins_of(sizes, resolution_bp))
    weight = np.full(n_bins, 0.1)
    weight[395] = np.nan
    path = tmp_path_factory.mktemp("contacts") / "map.cool"
    counts = {"chr1": maps.decaying_counts(n_bins)}
    return open_contact_map(
        maps.write_cool(path, counts, sizes, resolution_bp, weight), maps.peaks_at("chr1", [5_000])
    )


def test_locus_shows_the_contacts_of_the_stretch_above_the_arcs(locus, contacts):
    genes, peaks, windows, task = locus
    sets = make.sets(task, genes, peaks, size=10)
    figure = locus_view(("Astro", "MOBP"), sets, Locus(genes, windows, peaks, contacts=contacts))
    (mesh,) = artists(figure, "contacts")
    low, high = mesh.axes.get_xlim()
    first, last = int(low // 50_000), -int(-high // 50_000)
    shown = mesh.get_array()
    matrix = contacts.cooler.matrix(balance=True)[first:last, first:last]
    assert_allclose(np.where(matrix > 0, shown, 0), np.nan_to_num(matrix))
    assert (shown.mask == np.isnan(matrix)).all() and shown.mask.any()
    # the cell of two bins stands above their middle, as high as they are apart
    corner = mesh.get_coordinates()[2, 7]
    assert_allclose(corner, [(first + 4.5) * 50_000, 5 * 50_000])
    assert mesh.axes.get_position().y0 > figure.axes[0].get_position().y0
    (rings,) = artists(figure, "contacts of members")
    inside = sets[(sets["chromosome"] == "chr1") & (sets["start"].between(low, high))]
    middle = inside[["start", "end"]].mean(axis=1).to_numpy()
    assert_allclose(rings.get_xdata(), (middle + 20_000_000) / 2)
    assert_allclose(rings.get_ydata(), np.abs(middle - 20_000_000))
    assert "balanced contacts\n50-kb bins" in texts(figure)


def test_locus_draws_the_tad_of_the_gene(locus, contacts):
    genes, peaks, windows, task = locus
    sets = make.sets(task, genes, peaks, size=10)
    rows = [("chr1", 19_800_000, 20_200_000), ("chr1", 20_200_000, 10**8), ("chr2", 0, 10**8)]
    tads = pd.DataFrame(rows, columns=["chromosome", "start", "end"])
    with_map = locus_view(("Astro", "MOBP"), sets, Locus(genes, windows, peaks, contacts=contacts, tads=tads))
    alone = locus_view(("Astro", "MOBP"), sets, Locus(genes, windows, peaks, tads=tads))
    for figure in (with_map, alone):
        (own,) = artists(figure, "TAD of the gene")
        assert (own.get_x(), own.get_width()) == (19_800_000, 400_000)
        assert len(artists(figure, "TAD")) == 1  # cut at the end of the view, and none of another chromosome
        assert "400 kb" in texts(figure)
    (outline,) = artists(with_map, "outline of the TAD")
    assert_allclose(outline.get_xydata(), [[19_800_000, 0], [20_000_000, 400_000], [20_200_000, 0]])
    assert not artists(alone, "outline of the TAD") and not artists(alone, "contacts")
    none = locus_view(("Astro", "MOBP"), sets, Locus(genes, windows, peaks, tads=tads.iloc[1:]))
    assert "the TSS lies in no TAD" in texts(none) and not artists(none, "TAD of the gene")


def test_locus_on_a_chromosome_without_contacts_says_so(locus, contacts, tmp_path):
    genes, peaks, _, task = locus
    genes = genes.copy()
    genes.loc[genes["gene"] == "MOBP", "chromosome"] = "chr2"
    windows = make.windows(genes[genes["gene"] == "MOBP"], peaks)
    sets = make.sets(task, genes, peaks, size=5)
    figure = locus_view(("Astro", "MOBP"), sets, Locus(genes, windows, peaks, contacts=contacts))
    assert "the contact map has no chr2" in texts(figure)
    save(figure, tmp_path / "a.svg")


def test_locus_at_the_start_of_a_chromosome_begins_at_zero(locus):
    genes, peaks, _, task = locus
    genes = genes.copy()
    genes.loc[genes["gene"] == "MOBP", ["start", "end", "tss"]] = [3_000, 9_000, 3_000]
    windows = make.windows(genes[genes["gene"] == "MOBP"], peaks)
    sets = make.sets(task, genes, peaks, size=5, share_near=1)
    figure = locus_view(("Astro", "MOBP"), sets, Locus(genes, windows, peaks))
    assert figure.axes[0].get_xlim()[0] == 0
    near = sets["distance_to_tss_bp"].abs() < 480_000
    assert near.sum() >= 3
    assert all(len(artists(figure, peak)) == 1 for peak in sets.loc[near, "peak"])


def test_locus_holds_128_members_and_missing_effects(locus, tmp_path):
    genes, peaks, windows, task = locus
    sets = make.sets(task, genes, peaks, size=128, share_near=0.1)
    sets.loc[::2, "log_effect_in_context"] = np.nan
    figure = locus_view(("Astro", "MOBP"), sets, Locus(genes, windows, peaks))
    assert "and 8 more" not in joined(figure) and " more" in joined(figure)
    save(figure, tmp_path / "locus.svg")


def test_locus_asks_which_set_is_meant(locus):
    genes, peaks, windows, task = locus
    sets = pd.concat(
        [make.sets(task, genes, peaks), make.sets(task, genes, peaks, direction="activate", seed=5)]
    )
    with pytest.raises(InputError, match="MOBP in Astro: the task has 2 sets"):
        locus_view(("Astro", "MOBP"), sets, Locus(genes, windows, peaks))
    sets = sets[sets["direction"] == "activate"]
    figure = locus_view(("Astro", "MOBP"), sets, Locus(genes, windows, peaks))
    assert "MOBP in Astro: 10 peaks to activate it, 6 in view" in texts(figure)


def test_placed_genes_do_not_overlap_and_the_explained_gene_is_first():
    genes = make.genes(400, span=4_000_000)
    genes = genes[genes["chromosome"] == "chr1"]
    placed = place_genes(genes, Stretch("MOBP", "chr1", 1_500_000, 1_000_000, 2_000_000), max_rows=4)
    seen = genes[(genes["end"] > 1_000_000) & (genes["start"] < 2_000_000)]
    assert 4 < len(placed) < len(seen)
    for _, row in placed.groupby("row"):
        ordered = row.sort_values("start")
        assert (ordered["start"].to_numpy()[1:] >= ordered["end"].to_numpy()[:-1]).all()
        labels = row.sort_values("label_start")["label_start"].to_numpy()
        assert (np.diff(labels) > 0.2 * 1_000_000 / 5.6).all()  # a label is at least 0.2 inches wide
    inside = genes[genes["gene"] == "MOBP"].assign(start=1_200_000, end=1_300_000)
    others = genes[genes["gene"] != "MOBP"]
    inside = inside.assign(chromosome="chr1")
    first = place_genes(pd.concat([others, inside]), Stretch("MOBP", "chr1", 1_200_000, 10**6, 2 * 10**6))
    assert first.iloc[0][["gene", "row", "label"]].to_list() == ["MOBP", 0, "MOBP →"]


def test_exon_blocks_or_the_whole_body():
    gene = make.genes(2)
    known, unknown = gene.itertuples(index=False)
    assert blocks(known)[0][1] - blocks(known)[0][0] == 150 and len(blocks(known)) == 6
    assert blocks(unknown) == [(unknown.start, unknown.end)]


# ---------------------------------------------------------------- odd tables


def empty(table):
    return table.iloc[:0]


def test_empty_tables_say_so(locus, tmp_path):
    genes, peaks, windows, task = locus
    sets, effects = make.sets(task, genes, peaks), make.effects(task)
    truth, found = make.truth()
    figures = {
        "no quality control": quality_control(empty(make.quality_steps()), empty(make.metrics(5))),
        "no training curves": training_curves(empty(make.curves(["a"], 2))),
        "no genes": surrogate_quality(empty(make.quality(3))),
        "no latent states": latent_umap(empty(make.latent(5))),
        "no effects": effect_against_null(empty(effects), empty(make.null(effects))),
        "no test cells": before_after(empty(make.cells(effects))),
        "no effects: ": effect_by_set_size(empty(effects)),
        "no set was found": locus_view(("Astro", "MOBP"), empty(sets), Locus(genes, windows, peaks)),
        "has no position": locus_view(("Astro", "MOBP"), sets, Locus(empty(genes), windows, peaks)),
        "no sets": member_locations(empty(sets), genes, windows, peaks),
        "no planted task": set_recovery(truth, empty(found)),
    }
    for text, figure in figures.items():
        assert text in joined(figure)
    save(figures["no sets"], tmp_path / "empty.png")


def test_partly_empty_tables_say_what_is_missing(locus):
    genes, peaks, windows, task = locus
    quality = make.quality(5)
    no_types = surrogate_quality(quality[quality["cell_type"].isna()])
    assert "no scores per cell type" in texts(no_types)
    only_own = surrogate_quality(quality[quality["model"] == "cross_modality"])
    assert "no gene is scored for both the surrogate and a baseline" in texts(only_own)
    latent = make.latent(10)
    assert "no cells after mapping" in texts(latent_umap(latent[latent["mapping"] == "before"]))
    effects = make.effects(task)
    assert len(artists(effect_against_null(effects, empty(make.null(effects))), "observed")) == 1
    assert "no metrics per cell" in texts(quality_control(make.quality_steps(), empty(make.metrics(5))))
    sets = make.sets(task, genes, peaks)
    figure = locus_view(("Astro", "MOBP"), sets, Locus(genes, empty(windows), peaks.drop(columns="Astro")))
    assert "no accessibility" in texts(figure)


def test_long_and_strange_names_are_drawn_as_they_are(tmp_path):
    tasks = pd.DataFrame(
        {
            "cell_type": ["$x$ γδ T_{mem}", "Excitatory neurons of layer 2/3 (Cux2, Rorb)"],
            "gene": ["A$B$", "nan"],
        }
    )
    effects = make.effects(tasks).assign(q_value=np.nan)
    figure = effect_against_null(effects, make.null(effects).assign(log_change=0.0))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert any("A$B$ · $x$ γδ T_{mem}" in label for label in labels)
    assert all(len(label) < 36 for label in labels)
    save(figure, tmp_path / "names.svg")


def test_a_cell_type_that_is_not_in_the_runs_list_is_drawn_all_the_same():
    effects = make.effects(make.tasks(2))
    figure = effect_by_set_size(effects, cell_types=pd.Index(["Oligo"]))
    shown = {to_rgba(line.get_color())[:3] for line in artists(figure, "effect")}
    colours = cell_type_colours(["Oligo", *effects["cell_type"]])
    assert shown == {colours[name] for name in effects["cell_type"]}


def test_tables_with_repeated_index_labels_lose_and_gain_nothing():
    effects = pd.concat([make.effects(make.tasks(3)), make.effects(make.tasks(3), direction="activate")])
    figure = effect_by_set_size(effects)
    assert len(artists(figure, "effect")) == 6


@pytest.mark.parametrize(("n", "n_columns"), [(1, 1), (5, 5), (6, 3), (7, 4), (11, 4)])
def test_rows_of_a_legend_are_filled_evenly(n, n_columns):
    figure = Figure(figsize=(7.2, 2))
    legend_outside(figure, [Line2D([], [])] * n, ["a name"] * n, limit=5)
    assert figure.legends[0]._ncols == n_columns
