"""The cross-modality surrogate: trained on all cells, specialised per cell type, measured on test cells."""

SURROGATE = {
    key: value
    for key, value in config["surrogate"].items()
    if key not in ("model", "device")
}


rule train_surrogate:
    input:
        multiome="<results>/preprocessed.h5mu",
        feasibility=ancient("<results>/feasibility.tsv"),
    output:
        surrogate="<results>/surrogate/joint.safetensors",
        curves="<results>/surrogate/curves/joint.tsv",
    log:
        "<results>/logs/train_surrogate.log",
    benchmark:
        "<results>/benchmarks/train_surrogate.tsv"
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **GPU,
        device=DEVICE,
        mem_mb=memory(6000, per_input_mb=20),
        runtime=minutes(120, per_input_mb=2),
    params:
        settings=SURROGATE,
        seed=seed_for("train_surrogate"),
        code=code_of("train_surrogate"),
    script:
        "../scripts/train_surrogate.py"


rule specialise_surrogate:
    input:
        multiome="<results>/preprocessed.h5mu",
        surrogate="<results>/surrogate/joint.safetensors",
    output:
        surrogate="<results>/surrogate/{cell_type}.safetensors",
        curves="<results>/surrogate/curves/{cell_type}.tsv",
    log:
        "<results>/logs/specialise_surrogate/{cell_type}.log",
    benchmark:
        "<results>/benchmarks/specialise_surrogate/{cell_type}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **GPU,
        **OF_PREDICTIONS,
        device=DEVICE,
    params:
        cell_type=cell_type_of,
        settings=SURROGATE,
        seed=seed_for("specialise_surrogate"),
        code=code_of("specialise_surrogate"),
    script:
        "../scripts/specialise_surrogate.py"


rule evaluate_surrogate:
    input:
        multiome="<results>/preprocessed.h5mu",
        joint="<results>/surrogate/joint.safetensors",
        surrogates=per_cell_type("<results>/surrogate/{cell_type}.safetensors"),
        joint_curves="<results>/surrogate/curves/joint.tsv",
        curves=per_cell_type("<results>/surrogate/curves/{cell_type}.tsv"),
    output:
        quality="<results>/surrogate/quality.tsv",
        summary=shown(
            "surrogate/quality_summary.tsv", "2. Surrogate", "Quality on test cells"
        ),
        curves="<results>/surrogate/curves.tsv",
    log:
        "<results>/logs/evaluate_surrogate.log",
    benchmark:
        "<results>/benchmarks/evaluate_surrogate.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_PREDICTIONS,
    params:
        cell_types=lambda wildcards: list(CELL_TYPES.values()),
        seed=seed_for("evaluate_surrogate"),
        code=code_of("evaluate_surrogate"),
    script:
        "../scripts/evaluate_surrogate.py"


rule lay_out_latent:
    input:
        multiome="<results>/preprocessed.h5mu",
        surrogate="<results>/surrogate/joint.safetensors",
    output:
        latent="<results>/surrogate/latent.tsv.gz",
    log:
        "<results>/logs/lay_out_latent.log",
    benchmark:
        "<results>/benchmarks/lay_out_latent.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000, per_input_mb=10),
        runtime=minutes(30, per_input_mb=0.2),
    params:
        seed=seed_for("lay_out_latent"),
        code=code_of("lay_out_latent"),
    script:
        "../scripts/lay_out_latent.py"
