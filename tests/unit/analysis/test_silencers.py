"""Planted silencers from the cells to the exports: found, measured, classed and written as activators are."""

import shutil

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
from planted_windows import CONTROL, SILENCERS, WINDOW_SIZE, activity, kind, planted
from track_formats import read_bed, read_interact

from grids.analysis.effects import measure_effects
from grids.analysis.null_sets import Surroundings
from grids.analysis.redundancy.analysis import analyse_sets
from grids.analysis.redundancy.searches import RedundancySettings
from grids.analysis.specificity import measure_specificity
from grids.analysis.states import measure_states
from grids.analysis.statistics import collect_effects
from grids.exports import tracks
from grids.exports.explained import write_explained
from grids.exports.summary import AGREEMENT, EXPLAINED, TESTS, summarise_tasks
from grids.io.cells import Multiome
from grids.search.sets import Question, find_sets
from grids.surrogates.window.training import WindowSettings, train_window

CLASSES = {
    "silencer": "single",
    "any_of_two_silencers": "redundant",
    "two_silencers_together": "synergistic",
    "silencers_that_multiply": "multiplicative",
    "single": "single",
    "or_of_three": "redundant",
}


class Explained:
    """What is known of planted genes after a search in either direction."""

    def __init__(self):
        self.data = planted(n_cells=3000, control=tuple(CLASSES), seed=3)
        cells, windows = self.data.multiome, self.data.windows
        start = np.array([int(peak.split(":")[1].split("-")[0]) for peak in cells.atac.var.index])
        for name, values in {"chromosome": "chr1", "start": start, "end": start + 500}.items():
            cells.atac.var[name] = values
        cells.atac.obs["half"] = np.arange(len(cells.atac.obs)) % 2
        train, test = (
            Multiome(*(m.cells(split=split) for m in (cells.rna, cells.atac)), paired=True)
            for split in ("train", "test")
        )
        self.surrogate, _ = train_window(cells, windows, "A", WindowSettings(n_components=5), 1)
        self.genes = pd.DataFrame(
            {
                "gene": self.surrogate.genes,
                "chromosome": "chr1",
                "start": 8000 * np.arange(len(CLASSES)),
                "end": 8000 * np.arange(len(CLASSES)) + 900,
                "strand": "+",
                "tss": 8000 * np.arange(len(CLASSES)),
            }
        )
        tasks = pd.DataFrame({"cell_type": "A", "gene": self.surrogate.genes})
        question = Question(set_size=4, scope="window", direction="change", restarts=2)
        found, self.searches, self.skipped = find_sets(
            self.surrogate, train.atac.X, tasks, windows, 1, question
        )
        share = np.asarray(test.atac.X.mean(0)).ravel()
        surroundings = Surroundings(self.genes, test.atac.var, share)
        self.effects = measure_effects(self.surrogate, test, found, surroundings, n_null_sets=50, seed=1)
        self.sets = self.effects.sets.assign(passed_gate=True)
        settings = RedundancySettings(question, n_bootstrap=100, n_stability=2, max_alternatives=1)
        self.redundancy = analyse_sets(self.surrogate, test, train.atac.X, found, windows, settings, seed=1)
        self.specificity = measure_specificity(self.surrogate, test.atac, "A", found, n_bootstrap=50, seed=1)
        self.states = measure_states(
            self.surrogate, test, "A", found, [{"key": "half"}], n_bootstrap=50, seed=1
        )

    def planted_effect(self, gene):
        """Mean change of the log of expected expression when the members are closed in every test cell."""
        members, logic, ratio = (CONTROL | SILENCERS)[kind(gene)]
        first = WINDOW_SIZE * list(CLASSES).index(kind(gene))
        is_open = self.data.is_open[self.data.is_test][:, [first + m for m in members]]
        return -np.log(activity(is_open, logic, ratio)).mean()


@pytest.fixture(scope="module")
def explained():
    return Explained()


def row_of(table, gene):
    (row,) = table[table["gene"] == gene].to_dict("records")
    return row


@pytest.mark.parametrize("name", list(CLASSES))
def test_members_direction_effect_and_class(explained, name):
    gene = f"{name}0"
    silences = name not in SILENCERS
    own, row = explained.sets[explained.sets["gene"] == gene], row_of(explained.redundancy.redundancy, gene)
    window = explained.data.windows.query("gene == @gene")["peak"].tolist()
    assert sorted(window.index(peak) for peak in own["peak"]) == (CONTROL | SILENCERS)[name][0]
    assert (own["direction"] == ("silence" if silences else "derepress")).all()
    assert row["class"] == CLASSES[name]
    assert np.sign(row["joint_log_effect"]) == (-1 if silences else 1)
    # The interval is off zero, and holds the planted effect or the effect is near it.
    low, high = row["joint_log_effect_low"], row["joint_log_effect_high"]
    assert low * high > 0
    planted_effect = explained.planted_effect(gene)
    assert low < planted_effect < high or row["joint_log_effect"] == pytest.approx(planted_effect, rel=0.25)


def test_every_step_counts_what_a_silencer_does_in_its_own_direction(explained):
    raising = explained.redundancy.redundancy.query("direction == 'derepress'")
    assert len(raising) == len(SILENCERS)
    assert (raising["joint_log_effect"] > 0).all() and (raising["n_sufficient"] >= 1).all()
    members = explained.redundancy.members
    shapley = members.groupby("gene")["shapley_value"].sum()
    for row in raising.itertuples():
        assert shapley[row.gene] == pytest.approx(row.joint_log_effect, rel=1e-4)
    backed = members[members["gene"] == "any_of_two_silencers0"]
    assert (backed["log_effect_in_context"] > backed["log_effect_alone"]).all() and backed["is_backup"].all()
    pair = row_of(explained.redundancy.interactions, "any_of_two_silencers0")
    assert pair["interaction_log"] > 0.05 and pair["interaction_log_low"] > 0
    assert row_of(explained.redundancy.interactions, "two_silencers_together0")["interaction_log"] < -0.05
    full = explained.effects.effects
    full = full[full["set_size"] == full.groupby("gene")["set_size"].transform("max")].set_index("gene")
    assert (full.loc[raising["gene"], "log_change"] > 0).all()
    assert (explained.specificity.set_index("gene").loc[raising["gene"], "log_change_low"] > 0).all()
    levels = explained.states[explained.states["gene"] == "any_of_two_silencers0"]
    assert (levels["joint_log_effect_low"] > 0).all() and (levels["redundancy_index"] > 0).all()


def test_tracks_name_and_colour_silencers(explained, tmp_path):
    effects = collect_effects([explained.effects.effects.assign(q_value=np.nan)]).assign(q_value=0.01)
    tracks.write_bed(explained.sets, "A", tmp_path / "a.bed")
    tracks.write_interact(explained.sets, explained.genes, effects, "A", tmp_path / "a.interact")
    bed, arcs = read_bed(tmp_path / "a.bed", 9), read_interact(tmp_path / "a.interact")
    text = (tmp_path / "a.bed").read_text()
    assert "orange: closing them raises the gene" in text
    assert len(bed) == len(arcs) == len(explained.sets)
    lines = [line.split("\t") for line in text.splitlines() if not line.startswith(("track", "#"))]
    of_name = {fields[3]: fields[8] for fields in lines}
    assert of_name["silencer0|derepress|1"] == tracks.VERMILLION
    assert of_name["single0|silence|1"] == tracks.BLUE
    text = (tmp_path / "a.interact").read_text()
    fields = [line.split("\t") for line in text.splitlines() if "|derepress|" in line]
    assert len(fields) == (explained.sets["direction"] == "derepress").sum()
    assert all(float(one[5]) > 0 and one[7] == tracks.VERMILLION for one in fields)


def test_the_multiome_and_the_summary_say_which_direction(explained, tmp_path):
    modalities = {
        name: anndata.AnnData(part.X, part.obs, part.var)
        for name, part in (("rna", explained.data.multiome.rna), ("atac", explained.data.multiome.atac))
    }
    mudata.MuData(modalities).write(tmp_path / "cells.h5mu")
    windows = explained.data.windows.assign(distance_to_tss_bp=0, is_promoter=False)
    tables = {"sets": explained.sets, "redundancy": explained.redundancy.redundancy}
    write_explained(tmp_path / "cells.h5mu", tmp_path / "explained.h5mu", tables, windows)
    stored = mudata.read_h5mu(tmp_path / "explained.h5mu")["atac"].uns["grids"]["redundancy"]
    of_gene = stored.set_index("gene")["direction"].astype(str)
    assert of_gene["silencer0"] == "derepress" and of_gene["single0"] == "silence"
    shutil.rmtree(tmp_path)

    feasibility = pd.DataFrame({"cell_type": "A", "gene": explained.surrogate.genes, "n_peaks": 8})
    gate = feasibility.assign(**dict.fromkeys([*TESTS, *AGREEMENT], 0.01), reason="")
    gate["passed_gate"] = True
    summary = summarise_tasks(
        feasibility, gate, explained.skipped, explained.redundancy.redundancy, explained.sets
    ).set_index("gene")
    assert (summary["outcome"] == EXPLAINED).all()
    assert summary.loc["any_of_two_silencers0", ["direction", "class", "n_members"]].tolist() == [
        "derepress",
        "redundant",
        2,
    ]
    assert (
        summary.loc["silencer0", "joint_log_effect_low"] > 0 > summary.loc["single0", "joint_log_effect_high"]
    )
