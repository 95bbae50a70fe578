"""Schemas of configs, put together as runs do."""

from pathlib import Path

import yaml

from grids.io.config import with_guests

ROOT = Path(__file__).parents[2]
STUDY = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
GUESTS = {
    name: yaml.safe_load((ROOT / f"workflow/benchmarks/{name}/schema.yaml").read_text())
    for name in ("explainers", "truth", "mnist", "synthetic", "scale", "evidence")
}


def schema_of(config: dict) -> dict:
    """The schema of a config: with those of benchmarks when it names any."""
    own = {"benchmark", "evidence_benchmark", *GUESTS} - {*STUDY["properties"]}
    guests = GUESTS.values() if own & {*config} else ()
    return with_guests(STUDY, *guests, config=config)
