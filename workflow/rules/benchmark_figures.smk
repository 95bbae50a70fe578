"""The benchmark of explainers: paired comparisons, tables of results and figures."""


rule compare_explainers:
    input:
        cells="<results>/benchmark/cells.tsv.gz",
    output:
        comparisons=report(
            "<results>/benchmark/comparisons.tsv",
            caption="../report/benchmark_comparisons.rst",
            category="Benchmark of explainers",
            labels={"what": "Paired comparisons with GRIDS, table"},
        ),
    log:
        "<results>/logs/compare_explainers.log",
    benchmark:
        "<results>/benchmarks/compare_explainers.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000, per_input_mb=100),
        runtime=minutes(20, per_input_mb=1),
    params:
        seed=seed_for("compare_explainers"),
        code=code_of("compare_explainers"),
    script:
        "../scripts/compare_explainers.py"


rule tabulate_benchmark:
    input:
        effects="<results>/benchmark/effects.tsv",
        comparisons="<results>/benchmark/comparisons.tsv",
        costs="<results>/benchmark/costs.tsv",
    output:
        table=report(
            "<results>/benchmark/table.tsv",
            caption="../report/benchmark_table.rst",
            category="Benchmark of explainers",
            labels={"what": "Results by method, table"},
        ),
        table_markdown="<results>/benchmark/table.md",
        table_latex="<results>/benchmark/table.tex",
        tasks=report(
            "<results>/benchmark/tasks.tsv",
            caption="../report/benchmark_task_table.rst",
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
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("tabulate_benchmark"),
    script:
        "../scripts/tabulate_benchmark.py"


rule figure_benchmark_changes:
    input:
        cells="<results>/benchmark/cells.tsv.gz",
        comparisons="<results>/benchmark/comparisons.tsv",
    output:
        pdf="<results>/figures/benchmark_changes.pdf",
        png="<results>/figures/benchmark_changes.png",
        svg=report(
            "<results>/figures/benchmark_changes.svg",
            caption="../report/benchmark_changes.rst",
            category="Benchmark of explainers",
            labels={"what": "Changes in test cells, with paired tests, figure"},
        ),
    log:
        "<results>/logs/figure_benchmark_changes.log",
    benchmark:
        "<results>/benchmarks/figure_benchmark_changes.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_benchmark_changes"),
    script:
        "../scripts/figure_benchmark_changes.py"


rule figure_benchmark_tasks:
    input:
        effects="<results>/benchmark/effects.tsv",
    output:
        pdf="<results>/figures/benchmark_tasks.pdf",
        png="<results>/figures/benchmark_tasks.png",
        svg=report(
            "<results>/figures/benchmark_tasks.svg",
            caption="../report/benchmark_tasks.rst",
            category="Benchmark of explainers",
            labels={"what": "Effect by task and method, figure"},
        ),
    log:
        "<results>/logs/figure_benchmark_tasks.log",
    benchmark:
        "<results>/benchmarks/figure_benchmark_tasks.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_benchmark_tasks"),
    script:
        "../scripts/figure_benchmark_tasks.py"


rule figure_benchmark_locations:
    input:
        locations="<results>/benchmark/locations.tsv",
    output:
        pdf="<results>/figures/benchmark_locations.pdf",
        png="<results>/figures/benchmark_locations.png",
        svg=report(
            "<results>/figures/benchmark_locations.svg",
            caption="../report/benchmark_locations.rst",
            category="Benchmark of explainers",
            labels={"what": "Where members lie, figure"},
        ),
    log:
        "<results>/logs/figure_benchmark_locations.log",
    benchmark:
        "<results>/benchmarks/figure_benchmark_locations.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_benchmark_locations"),
    script:
        "../scripts/figure_benchmark_locations.py"


rule figure_benchmark_specificity:
    input:
        specificity="<results>/benchmark/specificity.tsv",
    output:
        pdf="<results>/figures/benchmark_specificity.pdf",
        png="<results>/figures/benchmark_specificity.png",
        svg=report(
            "<results>/figures/benchmark_specificity.svg",
            caption="../report/benchmark_specificity.rst",
            category="Benchmark of explainers",
            labels={"what": "Own and other cell types, figure"},
        ),
    log:
        "<results>/logs/figure_benchmark_specificity.log",
    benchmark:
        "<results>/benchmarks/figure_benchmark_specificity.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_benchmark_specificity"),
    script:
        "../scripts/figure_benchmark_specificity.py"


rule figure_benchmark_set_size:
    input:
        effects="<results>/benchmark/effects.tsv",
    output:
        pdf="<results>/figures/benchmark_set_size.pdf",
        png="<results>/figures/benchmark_set_size.png",
        svg=report(
            "<results>/figures/benchmark_set_size.svg",
            caption="../report/benchmark_set_size.rst",
            category="Benchmark of explainers",
            labels={"what": "Effect by set size, figure"},
        ),
    log:
        "<results>/logs/figure_benchmark_set_size.log",
    benchmark:
        "<results>/benchmarks/figure_benchmark_set_size.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_benchmark_set_size"),
    script:
        "../scripts/figure_benchmark_set_size.py"


rule figure_benchmark_cost:
    input:
        effects="<results>/benchmark/effects.tsv",
        costs="<results>/benchmark/costs.tsv",
    output:
        pdf="<results>/figures/benchmark_cost.pdf",
        png="<results>/figures/benchmark_cost.png",
        svg=report(
            "<results>/figures/benchmark_cost.svg",
            caption="../report/benchmark_cost.rst",
            category="Benchmark of explainers",
            labels={"what": "Effect against cost, figure"},
        ),
    log:
        "<results>/logs/figure_benchmark_cost.log",
    benchmark:
        "<results>/benchmarks/figure_benchmark_cost.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_benchmark_cost"),
    script:
        "../scripts/figure_benchmark_cost.py"


BENCHMARK_TABLES = expand(
    "<results>/benchmark/{name}",
    name=[
        "comparisons.tsv",
        *expand(
            "{table}.{suffix}", table=["table", "tasks"], suffix=["tsv", "md", "tex"]
        ),
    ],
)
BENCHMARK_FIGURES = expand(
    "<results>/figures/benchmark_{name}.{suffix}",
    name=["changes", "tasks", "locations", "specificity", "set_size", "cost"],
    suffix=["pdf", "png", "svg"],
)
