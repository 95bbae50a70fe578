"""The redundancy of each set: its members alone, in pairs, in context, and what could have been found instead."""


rule measure_redundancy:
    input:
        multiome="<results>/preprocessed.h5mu",
        windows="<results>/windows.tsv.gz",
        surrogate="<results>/surrogate/{cell_type}.safetensors",
        sets="<results>/sets/{cell_type}.tsv",
    output:
        redundancy="<results>/redundancy/{cell_type}/redundancy.tsv",
        members="<results>/redundancy/{cell_type}/members.tsv",
        interactions="<results>/redundancy/{cell_type}/interactions.tsv",
        knock_down="<results>/redundancy/{cell_type}/knock_down.tsv",
        alternatives="<results>/redundancy/{cell_type}/alternative_sets.tsv",
    log:
        "<results>/logs/measure_redundancy/{cell_type}.log",
    benchmark:
        "<results>/benchmarks/measure_redundancy/{cell_type}.tsv"
    conda:
        ENVIRONMENT
    threads: threads_for_genes
    resources:
        **GPU,
        device=DEVICE_OF_TASKS,
        mem_mb=memory_of_threads(6000, per_input_mb=20),
        runtime=minutes(120, per_input_mb=2),
    params:
        cell_type=cell_type_of,
        redundancy={
            key: value
            for key, value in config["redundancy"].items()
            if key != "gene_classes"
        },
        search={
            key: config["search"][key]
            for key in ("scope", "set_size", "candidates", "max_rounds")
        },
        seed=config["seed"],
        code=code_of("measure_redundancy"),
    script:
        "../scripts/measure_redundancy.py"


rule collect_redundancy:
    input:
        redundancy=per_cell_type("<results>/redundancy/{cell_type}/redundancy.tsv"),
        members=per_cell_type("<results>/redundancy/{cell_type}/members.tsv"),
        interactions=per_cell_type("<results>/redundancy/{cell_type}/interactions.tsv"),
        knock_down=per_cell_type("<results>/redundancy/{cell_type}/knock_down.tsv"),
        alternatives=per_cell_type(
            "<results>/redundancy/{cell_type}/alternative_sets.tsv"
        ),
        tasks="<results>/explained_tasks.tsv",
    output:
        redundancy=shown("redundancy.tsv", "4. Redundancy", "Redundancy of the sets"),
        members=shown("members.tsv", "4. Redundancy", "Members alone and in context"),
        interactions=shown(
            "interactions.tsv",
            "4. Redundancy",
            "Interactions in pairs",
            caption="interactions_table",
        ),
        knock_down="<results>/knock_down.tsv",
        alternatives=shown("alternative_sets.tsv", "4. Redundancy", "Alternative sets"),
    log:
        "<results>/logs/collect_redundancy.log",
    benchmark:
        "<results>/benchmarks/collect_redundancy.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_TABLES,
    params:
        code=code_of("collect_redundancy"),
    script:
        "../scripts/collect_redundancy.py"
