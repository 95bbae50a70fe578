"""Validation: scores of peak-gene pairs against outside evidence (CRISPRi, promoter capture, eQTL)."""


rule score_peaks:
    input:
        multiome="<results>/preprocessed.h5mu",
        windows="<results>/windows.tsv.gz",
        surrogate="<results>/surrogate/{cell_type}.safetensors",
        tasks="<results>/explained_tasks.tsv",
    output:
        scores="<results>/scores/{cell_type}.tsv.gz",
    log:
        "<results>/logs/score_peaks/{cell_type}.log",
    benchmark:
        "<results>/benchmarks/score_peaks/{cell_type}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(6000, per_input_mb=20),
        runtime=minutes(60, per_input_mb=1),
    params:
        cell_type=cell_type_of,
        direction=config["search"]["direction"],
        seed=config["seed"],
        code=code_of("score_peaks"),
    script:
        "../scripts/score_peaks.py"


rule measure_evidence:
    input:
        evidence=[entry["path"] for entry in config["evidence"]],
        multiome="<results>/preprocessed.h5mu",
        windows="<results>/windows.tsv.gz",
        genes="<results>/genes.tsv.gz",
        accessibility="<results>/accessibility.tsv.gz",
        scores=per_cell_type("<results>/scores/{cell_type}.tsv.gz"),
        tasks="<results>/explained_tasks.tsv",
    output:
        evidence=shown(
            "evidence.tsv",
            "6. Validation",
            "Agreement with outside evidence",
            caption="evidence_table",
        ),
        pairs="<results>/evidence_pairs.tsv.gz",
    log:
        "<results>/logs/measure_evidence.log",
    benchmark:
        "<results>/benchmarks/measure_evidence.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000, per_input_mb=20),
        runtime=minutes(30, per_input_mb=0.5),
    params:
        evidence=config["evidence"],
        assembly=config["input"].get("assembly"),
        windows=config["windows"],
        seed=seed_for("measure_evidence"),
        stamps=stamps("evidence"),
        code=code_of("measure_evidence"),
    script:
        "../scripts/measure_evidence.py"
