"""Outside evidence: GRIDS at its levels and other methods, on the same pairs of peak and gene."""

if not config["evidence"]:
    raise SystemExit(
        f"error: {CONFIG_SOURCE}: evidence_benchmark compares methods with the tables of evidence, and there are none; "
        "add for example\n  evidence:\n    - {name: screen, path: data/screen.tsv}"
    )

EVIDENCE_BENCHMARK = config["evidence_benchmark"]


rule judge_evidence_pairs:
    input:
        evidence=[entry["path"] for entry in config["evidence"]],
        multiome="<results>/preprocessed.h5mu",
        windows="<results>/windows.tsv.gz",
        genes="<results>/genes.tsv.gz",
        accessibility="<results>/accessibility.tsv.gz",
        tasks="<results>/tasks.tsv",
    output:
        pairs="<results>/evidence_benchmark/pairs.tsv.gz",
        windows="<results>/evidence_benchmark/windows.tsv.gz",
    log:
        "<results>/logs/judge_evidence_pairs.log",
    benchmark:
        "<results>/benchmarks/judge_evidence_pairs.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(3000, per_input_mb=20),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        evidence=config["evidence"],
        assembly=config["input"].get("assembly"),
        windows=config["windows"],
        stamps=stamps("evidence"),
        code=code_of("evidence/judge_evidence_pairs"),
    script:
        "scripts/judge_evidence_pairs.py"


rule score_evidence_rivals:
    input:
        multiome="<results>/preprocessed.h5mu",
        windows="<results>/evidence_benchmark/windows.tsv.gz",
        tasks="<results>/tasks.tsv",
    output:
        scores="<results>/evidence_benchmark/scores_of_rivals.tsv.gz",
    log:
        "<results>/logs/score_evidence_rivals.log",
    benchmark:
        "<results>/benchmarks/score_evidence_rivals.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000, per_input_mb=20),
        runtime=minutes(120, per_input_mb=1),
    params:
        methods=EVIDENCE_BENCHMARK["methods"],
        cells_per_metacell=EVIDENCE_BENCHMARK["cells_per_metacell"],
        seed=seed_for("score_evidence_rivals"),
        code=code_of("evidence/score_evidence_rivals"),
    script:
        "scripts/score_evidence_rivals.py"


rule score_evidence_grids:
    input:
        pairs="<results>/evidence_benchmark/pairs.tsv.gz",
        tasks="<results>/tasks.tsv",
        sets="<results>/sets.tsv",
        surrogates=per_cell_type("<results>/surrogate/{cell_type}.safetensors"),
        links="<results>/links.tsv.gz",
    output:
        scores="<results>/evidence_benchmark/scores_of_grids.tsv.gz",
    log:
        "<results>/logs/score_evidence_grids.log",
    benchmark:
        "<results>/benchmarks/score_evidence_grids.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000, per_input_mb=5),
        runtime=minutes(30, per_input_mb=0.2),
    params:
        methods=EVIDENCE_BENCHMARK["methods"],
        code=code_of("evidence/score_evidence_grids"),
    script:
        "scripts/score_evidence_grids.py"


rule collect_evidence_methods:
    input:
        pairs="<results>/evidence_benchmark/pairs.tsv.gz",
        scores=[
            "<results>/evidence_benchmark/scores_of_grids.tsv.gz",
            "<results>/evidence_benchmark/scores_of_rivals.tsv.gz",
        ],
    output:
        table=report(
            "<results>/evidence_methods.tsv",
            caption="report/evidence_methods_table.rst",
            category="Benchmark on outside evidence",
            labels={"what": "Methods and evidence, table"},
        ),
        markdown="<results>/evidence_methods.md",
    log:
        "<results>/logs/collect_evidence_methods.log",
    benchmark:
        "<results>/benchmarks/collect_evidence_methods.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_TABLES,
    params:
        evidence=config["evidence"],
        settings={
            key: EVIDENCE_BENCHMARK[key]
            for key in ("min_open_share", "block_bp", "n_bootstrap")
        },
        seed=seed_for("collect_evidence_methods"),
        code=code_of("evidence/collect_evidence_methods"),
    script:
        "scripts/collect_evidence_methods.py"


BESIDE += [rules.collect_evidence_methods.output, drawn("evidence_methods")]
