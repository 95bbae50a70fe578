"""The scale benchmark: time and memory of every stage at points around a middle one, and at the paper's sizes."""

from benchmarks.scale.points import (
    DATA_SIZES,
    asks_for_long_stages,
    check_sizes,
    data_files,
    dataset_of,
    points,
)

try:
    check_sizes(config["scale"], CONFIG_SOURCE)
except InputError as error:
    raise SystemExit(error.report)
SCALE_POINTS = points(config["scale"])
SCALE_DATASETS = {dataset_of(point): point for point in SCALE_POINTS.values()}
SCALE_DATA = "<results>/scale/data/{scale_dataset}"


wildcard_constraints:
    scale_dataset="|".join(SCALE_DATASETS),
    scale_point="|".join(SCALE_POINTS),


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
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        sizes=lambda wildcards: {
            size: SCALE_DATASETS[wildcards.scale_dataset][size] for size in DATA_SIZES
        },
        seed=config["seed"],
        code=code_of("scale/simulate_scale"),
    script:
        "scripts/simulate_scale.py"


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
        ENVIRONMENT
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
        code=code_of("scale/train_scale"),
    script:
        "scripts/train_scale.py"


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
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=memory(4000, per_input_mb=10),
        runtime=minutes(
            600 if asks_for_long_stages(config["scale"]) else 60,
            per_input_mb=0.5,
        ),
    params:
        point=lambda wildcards: SCALE_POINTS[wildcards.scale_point],
        repeats=config["scale"]["repeats"],
        seed=config["seed"],
        code=code_of("scale/measure_scale"),
    script:
        "scripts/measure_scale.py"


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
            caption="report/scale_costs.rst",
            category="Scale benchmark",
            labels={"what": "Cost of every stage, table"},
        ),
        ratios=report(
            "<results>/scale/ratios.tsv",
            caption="report/scale_ratios.rst",
            category="Scale benchmark",
            labels={"what": "Against plain dense steps, table"},
        ),
        exponents=report(
            "<results>/scale/exponents.tsv",
            caption="report/scale_exponents.rst",
            category="Scale benchmark",
            labels={"what": "How cost grows, table"},
        ),
        memory=report(
            "<results>/scale/memory.tsv",
            caption="report/scale_memory.rst",
            category="Scale benchmark",
            labels={"what": "Memory of many cells, table"},
        ),
    log:
        "<results>/logs/collect_scale.log",
    benchmark:
        "<results>/benchmarks/collect_scale.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=1),
    params:
        code=code_of("scale/collect_scale"),
    script:
        "scripts/collect_scale.py"


INSTEAD += [rules.collect_scale.output, drawn("scale_cost")]
