"""Small disks that fill up or may not be written to."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest


def _mount(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["mount", *arguments], capture_output=True, text=True)


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int):
    """A disk in memory, mounted at `folder`; the test is skipped where that is not allowed."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("mounting a small disk needs root")
    folder.mkdir(parents=True, exist_ok=True)
    mounted = _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder))
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, option: str) -> None:
    """Change a disk: ``size=64m``, ``ro``, ``rw``."""
    assert _mount("-o", f"remount,{option}", str(folder)).returncode == 0
