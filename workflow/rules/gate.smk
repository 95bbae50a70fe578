"""The quality gate: which tasks the surrogate predicts well enough to be explained."""


rule apply_gate:
    input:
        multiome="<results>/preprocessed.h5mu",
        windows="<results>/windows.tsv.gz",
        tasks="<results>/tasks.tsv",
        tests="<results>/judged_windows.tsv.gz",
        surrogates=per_cell_type("<results>/surrogate/{cell_type}.safetensors"),
    output:
        gate=shown(
            "gate.tsv",
            "2. Surrogate",
            "Genes judged by the quality gate",
            caption="gate_table",
        ),
        tasks="<results>/explained_tasks.tsv",
        skipped="<results>/gate_skipped.tsv",
    log:
        "<results>/logs/apply_gate.log",
    benchmark:
        "<results>/benchmarks/apply_gate.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_PREDICTIONS,
    params:
        cell_types=lambda wildcards: list(CELL_TYPES.values()),
        force=config["gate"]["force"],
        seed=seed_for("apply_gate"),
        code=code_of("apply_gate"),
    script:
        "../scripts/apply_gate.py"
