"""Files that are there as a whole or not at all, and one line for a disk that refuses them."""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from grids.errors import InputError

PROBE_BYTES = 65_536
_REFUSALS = {
    errno.ENOSPC: "there is no space left on its disk{free}; free some",
    errno.EDQUOT: "the quota of its disk is used up{free}; free some space",
    errno.EROFS: "its disk is read-only; choose another folder with the config key results, or make it writable",
    errno.EACCES: "its folder may not be written to; choose another folder with the config key results, or ask for "
    "the permission",
}
_REFUSALS[errno.EPERM] = _REFUSALS[errno.EACCES]


@contextlib.contextmanager
def whole(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path to write to, which becomes `path` when the block ends well and is removed when it does not.

    The folder is made when missing. What earlier processes left that were killed while they wrote the same file is
    removed.

    Parameters
    ----------
    path : path

    Yields
    ------
    Path
        In the same folder, hidden, with the same suffixes.

    Raises
    ------
    InputError
        The disk is full or read-only, or the folder forbidden.
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:  # pybigtools' are no Exceptions
        refused = refusal(error, path)
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if refused:
            raise InputError(refused) from error
        raise


def refusal(error: BaseException, path: str | os.PathLike) -> str | None:
    """Why the disk did not take a file, in one line; None when `error` has another reason.

    Not every library tells: the disk is asked as well.

    Parameters
    ----------
    error : exception
        Raised while `path` was written.
    path : path
    """
    number, cause = None, error
    while cause is not None and number not in _REFUSALS:
        number, cause = getattr(cause, "errno", None), cause.__cause__ or cause.__context__
    if number not in _REFUSALS:
        number = None if isinstance(error, InputError) else _errno_of_disk(Path(path).parent)
    if number not in _REFUSALS:
        return None
    free = ""
    with contextlib.suppress(OSError):
        usage = shutil.disk_usage(Path(path).parent)
        free = f" ({usage.free / 1e6:,.1f} of {usage.total / 1e6:,.1f} MB free)"
    reason = _REFUSALS[number].format(free=free)
    return f"{path}: cannot be written: {reason}, then give the same command again"


def _errno_of_disk(folder: Path) -> int | None:
    """What a small file in the folder meets."""
    probe = folder / f".{os.getpid()}.probe"
    try:
        probe.write_bytes(bytes(PROBE_BYTES))
    except OSError as error:
        return error.errno
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return None


def _remove_leftovers(path: Path) -> None:
    pattern = re.compile(rf"\.(\d+)\.{re.escape(path.name)}")
    for other in path.parent.iterdir():
        match = pattern.fullmatch(other.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            with contextlib.suppress(OSError):
                other.unlink()
