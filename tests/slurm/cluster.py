"""What SLURM knows of the jobs of these tests."""

import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

MEGABYTES = {"M": 1, "G": 1024}


@dataclass(frozen=True)
class Job:
    """One job, or one task of an array, as ``scontrol`` shows it.

    Attributes
    ----------
    job_id : str
        What ``scancel`` and ``scontrol`` call it; ``<array>_<task>`` for the task of an array.
    rule : str
    state : str
        ``COMPLETED``, ``TIMEOUT``, ...
    memory_mb : int
        What was asked for.
    array : str or None
        The array that it is a task of.
    """

    job_id: str
    rule: str
    state: str
    memory_mb: int
    array: str | None


def ask(*command: str, patience: float = 60) -> str:
    """What a command of SLURM says; asked again for so many seconds where a busy controller does not answer."""
    end = time.monotonic() + patience
    while (answer := subprocess.run(command, capture_output=True, text=True)).returncode:
        if time.monotonic() > end:
            raise RuntimeError(f"{' '.join(command)}: {answer.stderr.strip()}")
        time.sleep(1)
    return answer.stdout


def jobs(rule: str | None = None) -> list[Job]:
    """All jobs so far, of one rule if given, in the order in which they were submitted."""
    found = {}
    for line in ask("scontrol", "--oneliner", "show", "job").splitlines():
        fields = dict(field.split("=", 1) for field in line.split() if "=" in field)
        if "Comment" not in fields:
            continue
        array, number = fields.get("ArrayJobId"), int(fields["JobId"])
        amount, unit = re.fullmatch(r"(\d+)([MG])", fields["MinMemoryNode"]).groups()
        found[number] = Job(
            f"{array}_{fields['ArrayTaskId']}" if array else fields["JobId"],
            re.match(r"rule_(\w+?)(_wildcards_|$)", fields["Comment"])[1],
            fields["JobState"],
            int(amount) * MEGABYTES[unit],
            array,
        )
    return [job for _, job in sorted(found.items()) if rule in (None, job.rule)]


def count_states() -> Counter:
    """How many jobs ended in which state."""
    return Counter(job.state for job in jobs())


def wait_for(happens: Callable, what: str, seconds: float = 600):
    """What `happens()` returns once that is true; :exc:`TimeoutError` says that it did not happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := happens():
            return result
        time.sleep(0.1)
    raise TimeoutError(f"{what}: not within {seconds:.0f} s")
