"""The benchmark of explainers: every method on every task, measured and compared on the same test cells."""

from benchmarks.explainers.jobs import explainer_settings, jobs
from grids.search.directions import SOUGHT

BENCHMARK = config["benchmark"]
BENCHMARK_JOBS = jobs(BENCHMARK["methods"])


wildcard_constraints:
    benchmark_job="|".join(re.escape(name) for name in BENCHMARK_JOBS),


rule explain_tasks:
    input:
        multiome="<results>/preprocessed.h5mu",
        windows="<results>/windows.tsv.gz",
        genes="<results>/genes.tsv.gz",
        surrogate="<results>/surrogate/{cell_type}.safetensors",
        tasks="<results>/explained_tasks.tsv",
    output:
        sets="<results>/benchmark/{cell_type}/{benchmark_job}/sets.tsv",
        costs="<results>/benchmark/{cell_type}/{benchmark_job}/costs.tsv",
        skipped="<results>/benchmark/{cell_type}/{benchmark_job}/skipped.tsv",
    log:
        "<results>/logs/explain_tasks/{cell_type}/{benchmark_job}.log",
    benchmark:
        "<results>/benchmarks/explain_tasks/{cell_type}/{benchmark_job}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **GPU,
        device=DEVICE_OF_TASKS,
        mem_mb=memory(6000, per_input_mb=20),
        runtime=minutes(240, per_input_mb=2),
    params:
        cell_type=cell_type_of,
        settings=lambda wildcards: explainer_settings(
            config, BENCHMARK_JOBS[wildcards.benchmark_job]
        ),
        wanted={
            "set_sizes": BENCHMARK["set_sizes"],
            "scope": config["search"]["scope"],
            "direction": SOUGHT[config["search"]["direction"]][0],
        },
        seed=config["seed"],
        code=code_of("explainers/explain_tasks"),
    script:
        "scripts/explain_tasks.py"


rule measure_explainers:
    input:
        multiome="<results>/preprocessed.h5mu",
        genes="<results>/genes.tsv.gz",
        accessibility="<results>/accessibility.tsv.gz",
        surrogate="<results>/surrogate/{cell_type}.safetensors",
        sets=expand(
            "<results>/benchmark/{cell_type}/{benchmark_job}/sets.tsv",
            benchmark_job=BENCHMARK_JOBS,
            allow_missing=True,
        ),
        costs=expand(
            "<results>/benchmark/{cell_type}/{benchmark_job}/costs.tsv",
            benchmark_job=BENCHMARK_JOBS,
            allow_missing=True,
        ),
    output:
        effects="<results>/benchmark/{cell_type}/effects.tsv",
        sets="<results>/benchmark/{cell_type}/sets.tsv",
        locations="<results>/benchmark/{cell_type}/locations.tsv",
        cells="<results>/benchmark/{cell_type}/cells.tsv.gz",
    log:
        "<results>/logs/measure_explainers/{cell_type}.log",
    benchmark:
        "<results>/benchmarks/measure_explainers/{cell_type}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **GPU,
        device=DEVICE_OF_TASKS,
        mem_mb=memory(6000, per_input_mb=20),
        runtime=minutes(120, per_input_mb=1),
    params:
        cell_type=cell_type_of,
        n_null_sets=BENCHMARK["n_null_sets"],
        windows=config["windows"],
        seed=config["seed"],
        code=code_of("explainers/measure_explainers"),
    script:
        "scripts/measure_explainers.py"


rule measure_specificity_of_explainers:
    input:
        multiome="<results>/preprocessed.h5mu",
        surrogate="<results>/surrogate/{cell_type}.safetensors",
        sets="<results>/benchmark/sets.tsv",
    output:
        specificity="<results>/benchmark/{cell_type}/specificity.tsv",
    log:
        "<results>/logs/measure_specificity_of_explainers/{cell_type}.log",
    benchmark:
        "<results>/benchmarks/measure_specificity_of_explainers/{cell_type}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000, per_input_mb=20),
        runtime=minutes(30, per_input_mb=0.5),
    params:
        cell_type=cell_type_of,
        bootstrap={"n_bootstrap": 200},
        seed=config["seed"],
        code=code_of("measure_specificity"),
    script:
        "../../scripts/measure_specificity.py"


rule collect_specificity_of_explainers:
    input:
        specificity=per_cell_type("<results>/benchmark/{cell_type}/specificity.tsv"),
        tasks="<results>/explained_tasks.tsv",
        gate="<results>/gate.tsv",
    output:
        specificity="<results>/benchmark/specificity.tsv",
    log:
        "<results>/logs/collect_specificity_of_explainers.log",
    benchmark:
        "<results>/benchmarks/collect_specificity_of_explainers.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_TABLES,
    params:
        code=code_of("collect_specificity"),
    script:
        "../../scripts/collect_specificity.py"


rule collect_explainers:
    input:
        effects=per_cell_type("<results>/benchmark/{cell_type}/effects.tsv"),
        sets=per_cell_type("<results>/benchmark/{cell_type}/sets.tsv"),
        locations=per_cell_type("<results>/benchmark/{cell_type}/locations.tsv"),
        cells=per_cell_type("<results>/benchmark/{cell_type}/cells.tsv.gz"),
        costs=expand(
            "<results>/benchmark/{cell_type}/{benchmark_job}/costs.tsv",
            cell_type=CELL_TYPES,
            benchmark_job=BENCHMARK_JOBS,
        ),
        skipped=expand(
            "<results>/benchmark/{cell_type}/{benchmark_job}/skipped.tsv",
            cell_type=CELL_TYPES,
            benchmark_job=BENCHMARK_JOBS,
        ),
        tasks="<results>/explained_tasks.tsv",
    output:
        effects="<results>/benchmark/effects.tsv",
        sets="<results>/benchmark/sets.tsv",
        locations="<results>/benchmark/locations.tsv",
        cells="<results>/benchmark/cells.tsv.gz",
        costs="<results>/benchmark/costs.tsv",
        skipped="<results>/benchmark/skipped.tsv",
    log:
        "<results>/logs/collect_explainers.log",
    benchmark:
        "<results>/benchmarks/collect_explainers.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_TABLES,
    params:
        code=code_of("explainers/collect_explainers"),
    script:
        "scripts/collect_explainers.py"


rule compare_explainers:
    input:
        cells="<results>/benchmark/cells.tsv.gz",
    output:
        comparisons=report(
            "<results>/benchmark/comparisons.tsv",
            caption="report/benchmark_comparisons.rst",
            category="Benchmark of explainers",
            labels={"what": "Paired comparisons with GRIDS, table"},
        ),
    log:
        "<results>/logs/compare_explainers.log",
    benchmark:
        "<results>/benchmarks/compare_explainers.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(3000, per_input_mb=100),
        runtime=minutes(20, per_input_mb=1),
    params:
        seed=seed_for("compare_explainers"),
        code=code_of("explainers/compare_explainers"),
    script:
        "scripts/compare_explainers.py"


rule tabulate_benchmark:
    input:
        effects="<results>/benchmark/effects.tsv",
        comparisons="<results>/benchmark/comparisons.tsv",
        costs="<results>/benchmark/costs.tsv",
    output:
        table=report(
            "<results>/benchmark/table.tsv",
            caption="report/benchmark_table.rst",
            category="Benchmark of explainers",
            labels={"what": "Results by method, table"},
        ),
        table_markdown="<results>/benchmark/table.md",
        table_latex="<results>/benchmark/table.tex",
        tasks=report(
            "<results>/benchmark/tasks.tsv",
            caption="report/benchmark_task_table.rst",
            category="Benchmark of explainers",
            labels={"what": "Results by task, table"},
        ),
        tasks_markdown="<results>/benchmark/tasks.md",
        tasks_latex="<results>/benchmark/tasks.tex",
    log:
        "<results>/logs/tabulate_benchmark.log",
    benchmark:
        "<results>/benchmarks/tabulate_benchmark.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_TABLES,
    params:
        code=code_of("explainers/tabulate_benchmark"),
    script:
        "scripts/tabulate_benchmark.py"


BESIDE += [
    rules.compare_explainers.output,
    rules.tabulate_benchmark.output,
    [
        drawn(name)
        for name in read_yaml(BENCHMARKS / "explainers" / "report" / "figures.yaml")
    ],
]
