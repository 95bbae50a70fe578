"""Calibration: p-values of links and windows where there is nothing to find, in all types with enough cells."""

# Whether any null is asked for.
IS_CALIBRATED = any(config["calibration"].values())


rule measure_calibration:
    input:
        multiome="<results>/preprocessed.h5mu",
        windows="<results>/windows.tsv.gz",
        genes="<results>/genes.tsv.gz",
    output:
        calibration=shown(
            "calibration.tsv",
            "6. Validation",
            "Calibration of p-values",
            caption="calibration_table",
        ),
        counts="<results>/calibration_p_values.tsv.gz",
    log:
        "<results>/logs/measure_calibration.log",
    benchmark:
        "<results>/benchmarks/measure_calibration.tsv"
    conda:
        ENVIRONMENT
    threads: MOST_THREADS
    resources:
        mem_mb=memory_of_threads(4000, per_input_mb=20),
        runtime=minutes(240, per_input_mb=5),
    params:
        repeats=config["calibration"],
        seed=config["seed"],
        code=code_of("measure_calibration"),
    script:
        "../scripts/measure_calibration.py"
