"""The scale benchmark: time and memory of every stage at points around a middle one, and at the paper's sizes."""

from grids.scale.points import (
    DATA_SIZES,
    asks_for_long_stages,
    data_files,
    dataset_of,
    points,
)

SCALE_POINTS = points(config["scale"]) if "scale" in config else {}
SCALE_DATASETS = {dataset_of(point): point for point in SCALE_POINTS.values()}
SCALE_DATA = "<results>/scale/data/{scale_dataset}"


wildcard_constraints:
    scale_dataset="|".join(SCALE_DATASETS) or "nothing",
    scale_point="|".join(SCALE_POINTS) or "nothing",


rule simulate_scale:
    output:
        raw=temp(f"{SCALE_DATA}/raw.h5mu"),
        genes=f"{SCALE_DATA}/genes.bed",
        preprocessed=temp(f"{SCALE_DATA}/preprocessed.h5mu"),
    log:
        "<results>/logs/simulate_scale/{scale_dataset}.log",
    benchmark:
        "<results>/benchmarks/simulate_scale/{scale_dataset}.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        sizes=lambda wildcards: {
            size: SCALE_DATASETS[wildcards.scale_dataset][size] for size in DATA_SIZES
        },
        seed=config["seed"],
        code=code_of("simulate_scale"),
    script:
        "../scripts/simulate_scale.py"


rule train_scale:
    input:
        preprocessed=f"{SCALE_DATA}/preprocessed.h5mu",
    output:
        surrogate=temp(f"{SCALE_DATA}/surrogate.safetensors"),
        measurements=f"{SCALE_DATA}/training.tsv",
    log:
        "<results>/logs/train_scale/{scale_dataset}.log",
    benchmark:
        "<results>/benchmarks/train_scale/{scale_dataset}.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 2
    resources:
        mem_mb=memory(2000, per_input_mb=20),
        runtime=minutes(30, per_input_mb=0.5),
    params:
        # The data set's first point: points that only ask another question do not count.
        point=lambda wildcards: next(
            (name, point)
            for name, point in SCALE_POINTS.items()
            if dataset_of(point) == wildcards.scale_dataset
        ),
        seed=config["seed"],
        code=code_of("train_scale"),
    script:
        "../scripts/train_scale.py"


rule measure_scale:
    input:
        unpack(lambda wildcards: data_files(SCALE_POINTS[wildcards.scale_point])),
    output:
        measurements="<results>/scale/points/{scale_point}.tsv",
    log:
        "<results>/logs/measure_scale/{scale_point}.log",
    benchmark:
        "<results>/benchmarks/measure_scale/{scale_point}.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000, per_input_mb=10),
        runtime=minutes(
            (
                600
                if "scale" in config and asks_for_long_stages(config["scale"])
                else 60
            ),
            per_input_mb=0.5,
        ),
    params:
        point=lambda wildcards: SCALE_POINTS[wildcards.scale_point],
        repeats=lookup("scale/repeats", within=config, default=None),
        seed=config["seed"],
        code=code_of("measure_scale"),
    script:
        "../scripts/measure_scale.py"


rule collect_scale:
    input:
        points=expand(
            "<results>/scale/points/{scale_point}.tsv", scale_point=SCALE_POINTS
        ),
        training=expand(f"{SCALE_DATA}/training.tsv", scale_dataset=SCALE_DATASETS),
    output:
        measurements="<results>/scale/measurements.tsv",
        costs=report(
            "<results>/scale/costs.tsv",
            caption="../report/scale_costs.rst",
            category="Scale benchmark",
            labels={"what": "Cost of every stage, table"},
        ),
        ratios=report(
            "<results>/scale/ratios.tsv",
            caption="../report/scale_ratios.rst",
            category="Scale benchmark",
            labels={"what": "Against plain dense steps, table"},
        ),
        exponents=report(
            "<results>/scale/exponents.tsv",
            caption="../report/scale_exponents.rst",
            category="Scale benchmark",
            labels={"what": "How cost grows, table"},
        ),
        memory=report(
            "<results>/scale/memory.tsv",
            caption="../report/scale_memory.rst",
            category="Scale benchmark",
            labels={"what": "Memory of many cells, table"},
        ),
    log:
        "<results>/logs/collect_scale.log",
    benchmark:
        "<results>/benchmarks/collect_scale.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=1),
    params:
        code=code_of("collect_scale"),
    script:
        "../scripts/collect_scale.py"


rule figure_scale_cost:
    input:
        costs="<results>/scale/costs.tsv",
        exponents="<results>/scale/exponents.tsv",
    output:
        pdf="<results>/figures/scale_cost.pdf",
        png="<results>/figures/scale_cost.png",
        svg=report(
            "<results>/figures/scale_cost.svg",
            caption="../report/scale_cost.rst",
            category="Scale benchmark",
            labels={"what": "Time against size, figure"},
        ),
    log:
        "<results>/logs/figure_scale_cost.log",
    benchmark:
        "<results>/benchmarks/figure_scale_cost.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=1),
    params:
        code=code_of("figure_scale_cost"),
    script:
        "../scripts/figure_scale_cost.py"


SCALE = [rules.collect_scale.output, rules.figure_scale_cost.output]
