"""A minute of what tests/fuzz/run.py does for as long as it is told to."""

import re
import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parents[2] / "fuzz"


def test_no_parser_does_anything_but_read_or_refuse():
    command = [sys.executable, FUZZ / "run.py", "--minutes", "1"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
    executions, n_parsers = re.search(r"fuzz executions: ([\d,]+) of (\d+) parsers", done.stdout).groups()
    rows = re.findall(r"^(.{20}) +([\d,]+) +([\d,]+) +([\d,]+) +0 +\d+$", done.stdout, re.MULTILINE)
    assert len(rows) == int(n_parsers) > 20
    # Inputs are nearly right: most parsers refuse some and accept others, however slow the machine.
    assert sum(int(n.replace(",", "")) for _, n, _, _ in rows) == int(executions.replace(",", "")) > 200
    assert sum(int(n.replace(",", "")) > 0 for _, _, n, _ in rows) > 10
    assert sum(int(n.replace(",", "")) > 0 for _, _, _, n in rows) > 15
