"""The window surrogate: each cell type's own, measured on test cells."""


rule train_window_surrogate:
    input:
        multiome="<results>/preprocessed.h5mu",
        windows="<results>/windows.tsv.gz",
        genes="<results>/genes.tsv.gz",
        tasks="<results>/promising_tasks.tsv",
        feasibility=ancient("<results>/feasibility.tsv"),
    output:
        surrogate="<results>/surrogate/{cell_type}.safetensors",
        regularisation="<results>/surrogate/regularisation/{cell_type}.tsv",
    log:
        "<results>/logs/train_window_surrogate/{cell_type}.log",
    benchmark:
        "<results>/benchmarks/train_window_surrogate/{cell_type}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(6000, per_input_mb=20),
        runtime=minutes(120, per_input_mb=2),
    params:
        cell_type=cell_type_of,
        settings=window_settings,
        peaks=config["gate"]["peaks"],
        seed=seed_for("train_window_surrogate"),
        code=code_of("train_window_surrogate"),
    script:
        "../scripts/train_window_surrogate.py"


rule evaluate_window_surrogate:
    input:
        multiome="<results>/preprocessed.h5mu",
        surrogates=per_cell_type("<results>/surrogate/{cell_type}.safetensors"),
        regularisation=per_cell_type(
            "<results>/surrogate/regularisation/{cell_type}.tsv"
        ),
    output:
        quality="<results>/surrogate/quality.tsv",
        summary=shown(
            "surrogate/quality_summary.tsv", "2. Surrogate", "Quality on test cells"
        ),
        regularisation="<results>/surrogate/regularisation.tsv",
    log:
        "<results>/logs/evaluate_window_surrogate.log",
    benchmark:
        "<results>/benchmarks/evaluate_window_surrogate.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_PREDICTIONS,
    params:
        cell_types=lambda wildcards: list(CELL_TYPES.values()),
        seed=seed_for("evaluate_window_surrogate"),
        code=code_of("evaluate_window_surrogate"),
    script:
        "../scripts/evaluate_window_surrogate.py"
