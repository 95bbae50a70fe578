"""How sets carry over to other cell types and along states, and redundancy over the whole run."""


rule measure_specificity:
    input:
        multiome="<results>/preprocessed.h5mu",
        surrogate="<results>/surrogate/{cell_type}.safetensors",
        sets="<results>/sets.tsv",
    output:
        specificity="<results>/specificity/{cell_type}.tsv",
    log:
        "<results>/logs/measure_specificity/{cell_type}.log",
    benchmark:
        "<results>/benchmarks/measure_specificity/{cell_type}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000, per_input_mb=20),
        runtime=minutes(30, per_input_mb=0.5),
    params:
        cell_type=cell_type_of,
        bootstrap={"n_bootstrap": config["redundancy"]["n_bootstrap"]},
        seed=config["seed"],
        code=code_of("measure_specificity"),
    script:
        "../scripts/measure_specificity.py"


rule collect_specificity:
    input:
        specificity=per_cell_type("<results>/specificity/{cell_type}.tsv"),
        tasks="<results>/explained_tasks.tsv",
        gate="<results>/gate.tsv",
    output:
        specificity=shown(
            "specificity.tsv",
            "5. Across types and states",
            "Sets in other cell types",
            caption="specificity_table",
        ),
    log:
        "<results>/logs/collect_specificity.log",
    benchmark:
        "<results>/benchmarks/collect_specificity.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_TABLES,
    params:
        code=code_of("collect_specificity"),
    script:
        "../scripts/collect_specificity.py"


rule measure_states:
    input:
        multiome="<results>/preprocessed.h5mu",
        surrogate="<results>/surrogate/{cell_type}.safetensors",
        sets="<results>/sets.tsv",
    output:
        states="<results>/states/{cell_type}.tsv",
    log:
        "<results>/logs/measure_states/{cell_type}.log",
    benchmark:
        "<results>/benchmarks/measure_states/{cell_type}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000, per_input_mb=20),
        runtime=minutes(60, per_input_mb=0.5),
    params:
        cell_type=cell_type_of,
        states=config["states"],
        bootstrap={"n_bootstrap": config["redundancy"]["n_bootstrap"]},
        seed=config["seed"],
        code=code_of("measure_states"),
    script:
        "../scripts/measure_states.py"


rule collect_states:
    input:
        states=per_cell_type("<results>/states/{cell_type}.tsv"),
        tasks="<results>/explained_tasks.tsv",
    output:
        states=shown(
            "state_redundancy.tsv",
            "5. Across types and states",
            "Redundancy along states",
        ),
    log:
        "<results>/logs/collect_states.log",
    benchmark:
        "<results>/benchmarks/collect_states.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_TABLES,
    params:
        code=code_of("collect_states"),
    script:
        "../scripts/collect_states.py"


rule summarise_atlas:
    input:
        redundancy="<results>/redundancy.tsv",
        windows="<results>/windows.tsv.gz",
        gene_classes=file_of("redundancy", "gene_classes"),
    output:
        atlas=shown(
            "atlas_summary.tsv",
            "5. Across types and states",
            "Redundancy over the whole run",
        ),
        gene_classes="<results>/gene_classes.tsv",
    log:
        "<results>/logs/summarise_atlas.log",
    benchmark:
        "<results>/benchmarks/summarise_atlas.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_TABLES,
    params:
        stamps=stamps("redundancy.gene_classes"),
        code=code_of("summarise_atlas"),
    script:
        "../scripts/summarise_atlas.py"
