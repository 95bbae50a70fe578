"""Synthetic tables of a run, of any size, for the figures' tests."""

import numpy as np
import pandas as pd

CELL_TYPES = ["Astro", "CD8+ T", "Endo", "L2/3 IT", "Micro", "OPC", "Oligo", "Sst"]
CHROMOSOMES = ["chr1", "chr2", "chr3", "chrX"]
KEY = {"surrogate": "cross_modality", "method": "grids"}
GENE_NAMES = ["MOBP", "MOG", "GJA1", "AQP4", "OLIG1", "HLA-DQB1", "GAD1", "CX3CR1", "NXPH1", "FLT1"]


def gene_names(n):
    return (GENE_NAMES + [f"GENE{i}" for i in range(n)])[:n]


def tasks(n=12, n_types=6):
    return pd.DataFrame({"cell_type": [CELL_TYPES[i % n_types] for i in range(n)], "gene": gene_names(n)})


def genes(n=60, span=40_000_000, exons=True, seed=0):
    """`n` genes over the chromosomes; every second one with known exons."""
    rng = np.random.default_rng(seed)
    rows = []
    for i, name in enumerate(gene_names(n)):
        start = int(rng.integers(0, span))
        end = start + int(rng.lognormal(10, 1.2)) + 500
        strand = "+-"[i % 2]
        starts = np.sort(rng.choice(np.arange(start, end - 160), 6, replace=False))
        known = exons and i % 2 == 0
        rows.append(
            {
                "gene": name,
                "chromosome": CHROMOSOMES[i % len(CHROMOSOMES)],
                "start": start,
                "end": end,
                "strand": strand,
                "tss": start if strand == "+" else end - 1,
                "exon_starts": ",".join(map(str, starts)) if known else np.nan,
                "exon_ends": ",".join(str(s + 150) for s in starts) if known else np.nan,
            }
        )
    return pd.DataFrame(rows)


def accessibility(n_per_chromosome=3000, span=40_000_000, cell_types=CELL_TYPES, seed=1):
    rng = np.random.default_rng(seed)
    parts = []
    for chromosome in CHROMOSOMES:
        start = np.sort(rng.choice(span // 500, n_per_chromosome, replace=False)) * 500
        parts.append(pd.DataFrame({"chromosome": chromosome, "start": start, "end": start + 500}))
    peaks = pd.concat(parts, ignore_index=True)
    names = peaks["chromosome"] + ":" + peaks["start"].astype(str) + "-" + peaks["end"].astype(str)
    peaks.insert(0, "peak", names)
    base = rng.beta(0.6, 9, len(peaks))
    for cell_type in cell_types:
        peaks[cell_type] = np.clip(base * rng.lognormal(0, 0.7, len(peaks)), 0, 1)
    return peaks


def windows(genes, peaks, reach=500_000):
    parts = []
    for gene in genes.itertuples(index=False):
        middle = (peaks["start"] + peaks["end"]) // 2
        near = peaks[(peaks["chromosome"] == gene.chromosome) & ((middle - gene.tss).abs() <= reach)]
        distance = ((near["start"] + near["end"]) // 2 - gene.tss) * (1 if gene.strand == "+" else -1)
        part = near[["peak", "chromosome", "start", "end"]].assign(
            gene=gene.gene, distance_to_tss_bp=distance
        )
        parts.append(part.assign(is_promoter=distance.between(-1000, 100)))
    return pd.concat(parts, ignore_index=True)


def sets(tasks, genes, peaks, size=10, share_near=0.6, direction="silence", reach=500_000, seed=2):
    """Sets of `size` distinct peaks, about `share_near` of them in the gene's window."""
    rng = np.random.default_rng(seed)
    by_gene = genes.set_index("gene")
    parts = []
    for task in tasks.itertuples(index=False):
        gene = by_gene.loc[task.gene]
        centre = (peaks["start"] + peaks["end"]) / 2
        near = (peaks["chromosome"] == gene["chromosome"]) & ((centre - gene["tss"]).abs() < reach)
        inside = peaks[near].index.to_numpy()
        n_near = min(round(size * share_near), len(inside))
        chosen = np.r_[
            rng.choice(inside, n_near, replace=False),
            rng.choice(peaks[~near].index.to_numpy(), size - n_near, replace=False),
        ]
        rng.shuffle(chosen)
        members = peaks.loc[chosen, ["chromosome", "start", "end", "peak"]].reset_index(drop=True)
        same = members["chromosome"] == gene["chromosome"]
        distance = ((members["start"] + members["end"]) / 2 - gene["tss"]).where(same)
        effect = rng.exponential(0.08, size) / np.sqrt(1 + np.arange(size))
        effect *= -1 if direction == "silence" else 1
        effect[-1] *= -0.5
        parts.append(
            members.assign(
                **KEY,
                cell_type=task.cell_type,
                gene=task.gene,
                direction=direction,
                set_size=size,
                rank=np.arange(1, size + 1),
                distance_to_tss_bp=distance,
                in_window=distance.abs() <= reach,
                log_effect_alone=effect * 0.7,
                log_effect_in_context=effect,
                share_of_restarts=1.0,
            )
        )
    return pd.concat(parts, ignore_index=True)


def effects(tasks, size=10, direction="silence", seed=3, missing_q=()):
    """Nested sizes 1..size (powers of two beyond 32) per task, growing with diminishing returns."""
    rng = np.random.default_rng(seed)
    sizes = np.arange(1, size + 1) if size <= 32 else np.unique(np.r_[2 ** np.arange(8), size])
    sign = -1 if direction == "silence" else 1
    rows = []
    for i, task in enumerate(tasks.itertuples(index=False)):
        full = rng.exponential(0.35) + 0.005
        for k in sizes:
            grown = (1 - np.exp(-2.5 * k / size)) / (1 - np.exp(-2.5))
            change = sign * full * grown
            p = float(np.clip(np.exp(-25 * full * grown), 0.001, 1))
            rows.append(
                {
                    **KEY,
                    "cell_type": task.cell_type,
                    "gene": task.gene,
                    "direction": direction,
                    "set_size": k,
                    "n_cells": 90,
                    "mean_before": 1.2,
                    "mean_after": 1.2 + change,
                    "absolute_change": change,
                    "relative_change": np.expm1(change),
                    "log_change": change,
                    "null_mean": sign * 0.002 * k,
                    "null_sd": 0.004 * np.sqrt(k),
                    "p_value": p,
                    "q_value": np.nan if i in missing_q else min(1.0, 1.5 * p),
                    "objective_seconds": 0.3,
                }
            )
    return pd.DataFrame(rows)


def null(effects, n=200, seed=4):
    """`n` draws for the largest set of each task."""
    rng = np.random.default_rng(seed)
    full = effects[effects["set_size"] == effects["set_size"].max()]
    keys = ["surrogate", "method", "cell_type", "gene", "direction", "set_size"]
    parts = [
        pd.DataFrame([row[keys]] * n).assign(
            draw=np.arange(n), log_change=rng.normal(row["null_mean"], row["null_sd"], n)
        )
        for _, row in full.iterrows()
    ]
    return pd.concat(parts, ignore_index=True)


def cells(effects, n=90, seed=5):
    rng = np.random.default_rng(seed)
    full = effects[effects["set_size"] == effects["set_size"].max()]
    parts = []
    for row in full.itertuples(index=False):
        before = np.clip(rng.normal(1.2, 0.35, n), 0, None)
        after = np.clip(before + row.log_change * rng.gamma(4, 0.25, n), 0, None)
        observed = np.where(rng.random(n) < 0.4, 0, rng.gamma(6, 0.3, n))
        parts.append(
            pd.DataFrame(
                {
                    "surrogate": row.surrogate,
                    "method": row.method,
                    "cell_type": row.cell_type,
                    "gene": row.gene,
                    "direction": row.direction,
                    "set_size": row.set_size,
                    "cell": [f"cell_{i}" for i in range(n)],
                    "before": before,
                    "after": after,
                    "observed": observed,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def quality(n_genes=400, cell_types=CELL_TYPES, seed=6):
    rng = np.random.default_rng(seed)
    names = gene_names(n_genes)
    base = rng.beta(2, 4, n_genes)
    error = rng.gamma(6, 0.14, n_genes)
    rows = []
    skill = {
        "cross_modality": (0.05, 0.97),
        "gene_mean": (None, 1.04),
        "cell_type_mean": (0.03, 0.985),
        "lsi_ridge": (-0.02, 1.0),
        "lsi_neighbours": (-0.05, 1.01),
    }
    for cell_type in [None, *cell_types]:
        for model, (gain, factor) in skill.items():
            constant = gain is None or (model == "cell_type_mean" and cell_type is not None)
            r = base * (1 if cell_type is None else 0.4) + (gain or 0) + rng.normal(0, 0.03, n_genes)
            rows.append(
                pd.DataFrame(
                    {
                        "model": model,
                        "cell_type": cell_type,
                        "gene": names,
                        "n_cells": 500,
                        "pearson_r": np.nan if constant else r,
                        "spearman_r": np.nan if constant else r,
                        "rmse": error * factor * rng.normal(1, 0.02, n_genes),
                        "beats_type_mean": r > 0.2,
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def latent(n=2500, cell_types=CELL_TYPES, seed=7):
    rng = np.random.default_rng(seed)
    types = rng.choice(cell_types, n)
    centre = {name: rng.normal(0, 5, 2) for name in cell_types}
    parts = []
    for mapping, shift in (("before", 8.0), ("after", 0.4)):
        for modality in ("rna", "atac"):
            at = np.array([centre[t] for t in types]) + rng.normal(0, 0.8, (n, 2))
            at += shift * (modality == "atac")
            parts.append(
                pd.DataFrame(
                    {
                        "cell": [f"cell_{i}" for i in range(n)],
                        "modality": modality,
                        "mapping": mapping,
                        "cell_type": types,
                        "umap_1": at[:, 0],
                        "umap_2": at[:, 1],
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def curves(cell_types=CELL_TYPES, epochs=30, seed=8):
    """Training values of every loss; validation values, from before the first epoch on, of each stage's first."""
    rng = np.random.default_rng(seed)
    stages = {
        "atac": ["reconstruction"],
        "rna": ["reconstruction"],
        "mapping": ["supervised", "cycle_atac", "cycle_rna", "adversarial"],
        "specialisation": ["supervised"],
    }
    rows = []
    for stage, losses in stages.items():
        names = cell_types if stage == "specialisation" else [None]
        for loss in losses:
            for name in names:
                scale = rng.uniform(0.5, 40)
                judged = loss == losses[0]
                for split, first, gap in (("train", 1, 0.0), ("validation", 0, 0.012))[: 1 + judged]:
                    for epoch in range(first, epochs + 1):
                        value = scale * (0.02 + np.exp(-epoch / 5) + gap * max(0, epoch - 15) / 10)
                        value *= 1 + 0.02 * rng.normal()
                        rows.append((stage, name, epoch, loss, split, value))
    return pd.DataFrame(rows, columns=["stage", "cell_type", "epoch", "loss", "split", "value"])


def quality_steps():
    return pd.DataFrame(
        [
            ("cells", "rna", "min_genes", 2500, 69, 2431, "fewer than 200 genes"),
            ("cells", "atac", "min_fragments", 2500, 310, 2190, "fewer than 1,000 fragments"),
            ("cells", "atac", "min_tss_enrichment", 2190, 41, 2149, "TSS enrichment below 2"),
            ("cells", "both", "both_modalities", 2149, 22, 2127, "missing in one modality"),
            ("cells", "both", "min_cells_per_type", 2127, 0, 2127, ""),
            ("genes", "rna", "min_cells_per_gene", 19607, 4211, 15396, "seen in fewer than 3 cells"),
            ("genes", "rna", "variable", 15396, 12396, 3000, "neither variable nor explained"),
            ("peaks", "atac", "min_cells_per_peak", 127219, 1011, 126208, "open in fewer than 10 cells"),
        ],
        columns=["what", "modality", "step", "n_before", "n_dropped", "n_after", "reason"],
    )


def metrics(n=2500, seed=9):
    rng = np.random.default_rng(seed)
    fragments = rng.lognormal(8.4, 0.9, n).round()
    found = rng.lognormal(6.6, 0.6, n).round()
    tss = rng.gamma(9, 0.6, n)
    shared = {"cell": [f"cell_{i}" for i in range(n)], "cell_type": rng.choice(CELL_TYPES, n)}
    kept = (fragments >= 1000) & (found >= 200) & (tss >= 2)
    rna = pd.DataFrame({**shared, "modality": "rna", "n_genes": found, "n_counts": found * 2.2, "kept": kept})
    atac = pd.DataFrame(
        {**shared, "modality": "atac", "n_fragments": fragments, "n_counts": fragments, "tss_enrichment": tss}
    )
    return pd.concat([rna, atac.assign(kept=kept)], ignore_index=True).assign(reason="")


def truth(n_per_logic=4, seed=10):
    """Planted regulation of five kinds and the sets that recover most of it."""
    rng = np.random.default_rng(seed)
    planted, found = [], []
    logics = {"single": 1, "multiplicative": 4, "redundant": 3, "synergistic": 3, "none": 0}
    for logic, n_members in logics.items():
        for i in range(n_per_logic):
            gene, cell_type = f"{logic}_{i}", CELL_TYPES[i % 3]
            peaks = [f"chr1:{rng.integers(10**7)}-{gene}-{m}" for m in range(n_members)]
            planted += [(gene, cell_type, logic, peak, True) for peak in peaks]
            planted.append((gene, cell_type, logic, f"chr2:{gene}-decoy", False))
            hit = [peak for peak in peaks if rng.random() < (0.9 if logic != "redundant" else 0.6)]
            chosen = hit + [f"chr3:{gene}-{m}" for m in range(6 - len(hit))]
            for rank, peak in enumerate(chosen, start=1):
                found.append((*KEY.values(), cell_type, gene, "silence", 6, rank, peak))
    return (
        pd.DataFrame(planted, columns=["gene", "cell_type", "logic", "peak", "is_member"]),
        pd.DataFrame(
            found,
            columns=["surrogate", "method", "cell_type", "gene", "direction", "set_size", "rank", "peak"],
        ),
    )
