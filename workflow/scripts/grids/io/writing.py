"""Files that are there as a whole or not at all, and one line for a disk that refuses them."""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from grids.io.errors import InputError

PROBE_BYTES = 65_536
_REFUSALS = {
    errno.ENOSPC: "there is no space left on its disk{free}; free some",
    errno.EDQUOT: "the quota of its disk is used up{free}; free some space",
    errno.EROFS: "its disk is read-only; make it writable, or choose another folder",
    errno.EACCES: "writing there is not permitted; ask for the permission, or choose another folder",
}
_REFUSALS[errno.EPERM] = _REFUSALS[errno.EACCES]
_FULL = (errno.ENOSPC, errno.EDQUOT)  # never raised by reading


@contextlib.contextmanager
def whole(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path to write to, which becomes `path` when the block ends well and is removed when it does not.

    It lies in the same folder, which is made when missing, hidden, with the same suffixes. What earlier processes left
    that were killed while they wrote the same file is removed.

    Raises
    ------
    InputError
        The disk is full or read-only, or the folder forbidden.
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in path.parent.iterdir():
            match = re.fullmatch(rf"\.(\d+)\.{re.escape(path.name)}", other.name)
            if match and not Path(f"/proc/{match[1]}").exists():
                with contextlib.suppress(OSError):
                    other.unlink()
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
    """
    number, cause = None, error
    while cause is not None and number not in _FULL:
        told = re.search(r"\(os error (\d+)\)", str(cause))  # as Rust tells it
        number = int(told[1]) if told else getattr(cause, "errno", None)
        cause = cause.__cause__ or cause.__context__
    if number not in _FULL:
        number = _errno_of_disk(Path(path).parent)
    if number not in _REFUSALS or isinstance(error, InputError):
        return None
    return f"{path}: {_reason(number, Path(path).parent)}, then give the same command again"


def check_writable(folder: str | os.PathLike, what: str) -> None:
    """Refuse a folder (`what` it is, for the message) that takes no files, before anything is computed or written.

    Raises
    ------
    InputError
        Its disk, or that of its next parent that exists, is full or read-only, or the folder forbidden.
    """
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise InputError(
            f"{folder}: {what} cannot be made: {place} is a file; move it, or choose another folder"
        )
    disk = os.statvfs(place)
    number = errno.EROFS if disk.f_flag & os.ST_RDONLY else None
    if not number and not os.access(place, os.W_OK | os.X_OK):
        number = errno.EACCES
    if not number and disk.f_blocks and disk.f_bavail * disk.f_frsize < PROBE_BYTES:
        number = errno.ENOSPC
    if number:
        raise InputError(f"{folder}: {what} {_reason(number, place)}, then give the same command again")


def _reason(number: int, folder: Path) -> str:
    free = ""
    with contextlib.suppress(OSError):
        usage = shutil.disk_usage(folder)
        free = f" ({usage.free / 1e6:,.1f} of {usage.total / 1e6:,.1f} MB free)"
    return f"cannot be written: {_REFUSALS[number].format(free=free)}"


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
