"""The figure of the quality gate: both levels, all tested genes, and how near the tasks are."""

import numpy as np
import pandas as pd
import redundancy_tables as make
from drawn import artists, texts
from matplotlib.colors import to_rgb
from numpy.testing import assert_allclose

from grids.figures.gate import FARTHEST, MOST_TASKS, gate
from grids.figures.save import save
from grids.figures.scales import cell_type_colours
from grids.figures.style import INK
from grids.io.levels import ALL_TYPES

NO_TASKS = pd.DataFrame({"cell_type": [], "gene": []})


def joined(figure):
    return " ".join("\n".join(texts(figure)).split())


def drawn(ax, label):
    (found,) = (line for line in ax.lines if line.get_label() == f"_{label}")
    return found


def test_gate_has_a_column_for_each_level_with_its_counts():
    genes = make.untold(make.gate(200, ["Astro", "CD8+ T", ALL_TYPES]), np.arange(600) % 4 == 0)
    figure = gate(genes, NO_TASKS, 0.05)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert [title for title in titles if title] == [
        "Within types: p-values of all genes", "Within types: the tasks",
        "Across types: p-values of all genes", "Across types: the tasks",
    ]  # fmt: skip
    is_low = (genes["q_value"] <= 0.05).groupby(genes["cell_type"]).sum()
    is_low_distal = (genes["q_value_distal"] <= 0.05).groupby(genes["cell_type"]).sum()
    for ax, names in ((figure.axes[2], ["Astro", "CD8+ T"]), (figure.axes[6], [ALL_TYPES])):
        shown = [label.get_text() for label in ax.get_yticklabels()]
        assert shown == ["across types" if name == ALL_TYPES else name for name in names]
        bars = {c.get_label() or c[0].get_label(): [bar.get_width() for bar in c] for c in ax.containers}
        assert bars["_all"] == [200] * len(names) and bars["_tested"] == [150] * len(names)
        assert bars["_low"] == list(is_low[names])
        written = [text.get_text() for text in ax.texts if not text.get_text()[0].isalpha()]
        columns = np.reshape(written, (4, len(names)))
        assert columns.astype(int).tolist() == [
            list(is_low[names]), list(is_low_distal[names]), [150] * len(names), [50] * len(names),
        ]  # fmt: skip


def test_gate_shows_every_known_p_value_against_evenly_spread_ones():
    genes = make.untold(make.gate(50, ["Astro", ALL_TYPES]), np.arange(100) % 5 == 0)
    genes.loc[1, "p_value"] = 1e-200
    figure = gate(genes, NO_TASKS, 0.05)
    for name in ("Astro", ALL_TYPES):
        for end in ("", "_distal"):
            (line,) = artists(figure, f"p{end} {name}")
            p = np.sort(genes.loc[genes["cell_type"] == name, f"p_value{end}"].dropna())
            assert len(p) == 40
            assert_allclose(line.get_ydata(), np.minimum(-np.log10(p), FARTHEST))
            assert_allclose(10 ** -line.get_xdata(), (np.arange(40) + 0.5) / 40)
            colour = to_rgb(INK) if name == ALL_TYPES else cell_type_colours(["Astro"])["Astro"]
            assert to_rgb(line.get_color()) == colour


def test_gate_shows_how_near_each_task_is_and_none_that_cannot_be_told_at_zero():
    genes = make.gate(40, ["Astro"]).assign(q_value_distal=0.5)
    names = list(genes["gene"][:5])
    for name, q, passes in zip(names[:3], [0.2, 1e-30, 0.03], [False, True, False], strict=True):
        genes.loc[genes["gene"] == name, ["q_value", "passed_gate", "chance_of_no_member"]] = (
            q,
            passes,
            np.nan,
        )
    genes.loc[genes["gene"] == names[1], "chance_of_no_member"] = 0.125
    genes = make.untold(make.undecided(genes, genes["gene"] == names[3]), genes["gene"] == names[4])
    tasks = pd.DataFrame({"cell_type": "Astro", "gene": [*names, "absent"]})
    figure = gate(genes, tasks, 0.07)
    ax = figure.axes[-1]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        f"{name} · Astro" for name in (names[1], names[3], names[2], names[0], names[4], "absent")
    ]
    points = [line for line in ax.lines if line.get_label() == "_task"]
    assert_allclose([line.get_xdata()[0] for line in points], [FARTHEST, 3, -np.log10(0.03), -np.log10(0.2)])
    assert [line.get_marker() for line in points] == [">", "v", "o", "o"]
    assert [line.get_markerfacecolor() == "white" for line in points] == [False, False, True, True]
    assert_allclose(drawn(ax, "threshold").get_xdata()[0], -np.log10(0.07))
    written = [text.get_text() for text in ax.texts]
    assert written == [
        "cannot be told: 3.2 effective cells", "cannot be told: no peak in its window",
        "chance\nof none", "0.12", "0.97",
    ]  # fmt: skip
    assert "undecided: the posterior disagrees" in joined(figure)
    assert "tick: distal peaks" in ax.get_xlabel()


def test_gate_of_distal_peaks_orders_and_places_tasks_by_their_q_values():
    genes = make.gate(20, [ALL_TYPES]).assign(q_value=0.01)
    genes["q_value_distal"] = np.linspace(0.9, 0.1, 20)
    tasks = genes[["cell_type", "gene"]]
    ax = gate(genes, tasks, 0.05, "distal").axes[-1]
    points = [line.get_xdata()[0] for line in ax.lines if line.get_label() == "_task"]
    assert_allclose(points, -np.log10(np.linspace(0.1, 0.9, 20)))
    assert [label.get_text() for label in ax.get_yticklabels()] == list(genes["gene"][::-1])
    ticks = [line.get_xdata()[0] for line in ax.lines if line.get_label() == "_other"]
    assert_allclose(ticks, 2)


def test_gate_counts_the_tasks_and_types_that_it_leaves_out(tmp_path):
    genes = make.gate(70, [f"type {i}" for i in range(45)])
    tasks = genes.loc[genes["cell_type"] == "type 0", ["cell_type", "gene"]]
    figure = gate(genes, tasks, 0.05)
    assert "5 more cell types are in gate.tsv." in joined(figure)
    assert "10 more tasks with larger q-values are in gate.tsv." in joined(figure)
    nearest = genes[genes["cell_type"] == "type 0"].nsmallest(MOST_TASKS, "q_value")["q_value"]
    points = [line.get_xdata()[0] for line in figure.axes[-1].lines if line.get_label() == "_task"]
    assert_allclose(points, np.minimum(-np.log10(nearest), FARTHEST))
    save(figure, tmp_path / "gate.png")


def test_a_level_at_which_nothing_can_be_told_says_why():
    genes = make.gate(20, ["Astro", ALL_TYPES])
    why = "cannot be told: fewer than 100 windows on other chromosomes to compare with"
    genes = make.untold(genes, genes["cell_type"] == ALL_TYPES, why)
    figure = gate(genes, genes.loc[genes["cell_type"] == ALL_TYPES, ["cell_type", "gene"]], 0.05)
    assert texts(figure).count("cannot be told: fewer than 100 windows to compare with") == 20
    assert "all peaks: no gene can be tested" in joined(figure)
    assert "no task was asked at this level" in joined(figure)
    assert artists(figure, "task") == []
