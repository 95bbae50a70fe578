"""The search for sets, and what the sets do to cells that were not trained on."""


rule find_sets:
    input:
        multiome="<results>/preprocessed.h5mu",
        windows="<results>/windows.tsv.gz",
        surrogate="<results>/surrogate/{cell_type}.safetensors",
        tasks="<results>/explained_tasks.tsv",
        given=file_of("search", "given"),
    output:
        sets="<results>/sets/{cell_type}.tsv",
        searches="<results>/searches/{cell_type}.tsv",
        skipped="<results>/skipped/{cell_type}.tsv",
    log:
        "<results>/logs/find_sets/{cell_type}.log",
    benchmark:
        "<results>/benchmarks/find_sets/{cell_type}.tsv"
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
        search={key: value for key, value in config["search"].items() if key != "given"},
        seed=config["seed"],
        stamps=stamps("search.given"),
        code=code_of("find_sets"),
    script:
        "../scripts/find_sets.py"


rule measure_effects:
    input:
        multiome="<results>/preprocessed.h5mu",
        genes="<results>/genes.tsv.gz",
        accessibility="<results>/accessibility.tsv.gz",
        surrogate="<results>/surrogate/{cell_type}.safetensors",
        sets="<results>/sets/{cell_type}.tsv",
        searches="<results>/searches/{cell_type}.tsv",
    output:
        effects="<results>/effects/{cell_type}/effects.tsv",
        sets="<results>/effects/{cell_type}/sets.tsv",
        locations="<results>/effects/{cell_type}/locations.tsv",
        null="<results>/effects/{cell_type}/null.tsv.gz",
        cells="<results>/effects/{cell_type}/cells.tsv.gz",
    log:
        "<results>/logs/measure_effects/{cell_type}.log",
    benchmark:
        "<results>/benchmarks/measure_effects/{cell_type}.tsv"
    conda:
        ENVIRONMENT
    threads: threads_for_genes
    resources:
        **GPU,
        device=DEVICE_OF_TASKS,
        mem_mb=memory_of_threads(6000, per_input_mb=20),
        runtime=minutes(60, per_input_mb=1),
    params:
        cell_type=cell_type_of,
        effects=config["effects"],
        windows=config["windows"],
        seed=config["seed"],
        code=code_of("measure_effects"),
    script:
        "../scripts/measure_effects.py"


rule collect_effects:
    input:
        effects=per_cell_type("<results>/effects/{cell_type}/effects.tsv"),
        sets=per_cell_type("<results>/effects/{cell_type}/sets.tsv"),
        locations=per_cell_type("<results>/effects/{cell_type}/locations.tsv"),
        null=per_cell_type("<results>/effects/{cell_type}/null.tsv.gz"),
        cells=per_cell_type("<results>/effects/{cell_type}/cells.tsv.gz"),
        searches=per_cell_type("<results>/searches/{cell_type}.tsv"),
        skipped=[
            "<results>/quality_control/skipped.tsv",
            "<results>/gate_skipped.tsv",
            *per_cell_type("<results>/skipped/{cell_type}.tsv"),
        ],
        tasks="<results>/explained_tasks.tsv",
    output:
        effects=shown(
            "effects.tsv",
            "3. Sets and effects",
            "Effects of the sets",
            subcategory="All tasks",
        ),
        sets=shown(
            "sets.tsv",
            "3. Sets and effects",
            "Members of the sets",
            subcategory="All tasks",
        ),
        locations="<results>/locations.tsv",
        null="<results>/null.tsv.gz",
        cells="<results>/cells.tsv.gz",
        searches="<results>/searches.tsv",
        skipped=shown("skipped.tsv", "1. Data", "Tasks not run"),
    log:
        "<results>/logs/collect_effects.log",
    benchmark:
        "<results>/benchmarks/collect_effects.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_TABLES,
    params:
        code=code_of("collect_effects"),
    script:
        "../scripts/collect_effects.py"
