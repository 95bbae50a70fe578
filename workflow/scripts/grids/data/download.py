"""Downloads that survive bad connections: retried, resumed, verified, and renamed only when whole."""

import hashlib
import json
import os
import re
import time
from functools import partial
from pathlib import Path

import requests
import urllib3
from tqdm import tqdm

from grids.io.config_files import is_address
from grids.io.errors import InputError
from grids.io.logging import log

TIMEOUT = 60.0  # seconds without an answer or a byte that end an attempt
CHUNK_BYTES = 1 << 20
_LONGEST_WAIT = 60.0
_PASSING = {408, 425, 429}  # answers below 500 that may change on their own
_DIGEST_LENGTH = {"md5": 32, "sha256": 64}


class _Retry(Exception):
    """The attempt failed for a reason that may pass."""


def download(
    url: str,
    destination: str | os.PathLike,
    checksum: str | None = None,
    *,
    attempts: int = 5,
    backoff: float = 1.0,
) -> Path:
    """Download a file. `destination` appears only once it is complete and verified.

    Bytes are collected in ``<destination>.part``. A broken transfer, also one of an earlier call, goes on
    where it stopped when the server can tell that the file is still the same (its ETag or modification
    date, kept in ``<destination>.part.json``); otherwise it starts again.

    Parameters
    ----------
    url : str
        http or https.
    destination : path
        Its folder is made when missing; an existing file is replaced.
    checksum : str, optional
        ``md5:<32 hex digits>`` or ``sha256:<64 hex digits>`` of the whole file.
    attempts : int
        How often to try in all.
    backoff : float
        Seconds to wait after the first failure; doubled after each further one, at most a minute.

    Raises
    ------
    InputError
        Not a URL, a refusal by the server (404, 403), a wrong checksum (the download is removed), or no
        success in `attempts` attempts (the part is kept for the next call).
    """
    if not is_address(url):
        raise InputError(
            f"'{url}' cannot be downloaded: expected an address that starts with http:// or https://"
        )
    algorithm, expected = _parse_checksum(checksum, url) if checksum else ("", "")
    destination = Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(f"{destination.name}.part")
    state = part.with_name(f"{part.name}.json")

    for attempt in range(1, attempts + 1):
        try:
            _fetch(url, part, state)
            break
        except _Retry as failure:
            if attempt == attempts:
                raise InputError(
                    f"{url} could not be downloaded in {attempts} attempts; the last one: {failure}. Check the "
                    "connection and run again (what has arrived is kept), or download the file by other means and give "
                    "its path"
                ) from None
            wait = min(backoff * 2 ** (attempt - 1), _LONGEST_WAIT)
            log.warning("%s: %s; attempt %d of %d follows in %g s", url, failure, attempt + 1, attempts, wait)
            time.sleep(wait)

    if algorithm and (found := _digest(part, algorithm)) != expected:
        part.unlink()
        state.unlink(missing_ok=True)
        raise InputError(
            f"{url}: the {algorithm} sum of the downloaded file is {found}, expected {expected}; it was "
            "removed. Run again if the transfer may be at fault, otherwise correct input.checksums"
        )
    os.replace(part, destination)
    state.unlink(missing_ok=True)
    verified = f", {algorithm} verified" if algorithm else ""
    log.info("%s: %d bytes%s", destination, destination.stat().st_size, verified)
    return destination


def _parse_checksum(checksum: str, url: str) -> tuple[str, str]:
    algorithm, _, digest = str(checksum).strip().lower().partition(":")
    if not re.fullmatch(f"[0-9a-f]{{{_DIGEST_LENGTH.get(algorithm, 0)}}}", digest) or not digest:
        raise InputError(
            f"checksum '{checksum}' of {url} is not understood: "
            "expected md5: and 32, or sha256: and 64 hexadecimal digits"
        )
    return algorithm, digest


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.new, algorithm, usedforsecurity=False)).hexdigest()


def _fetch(url: str, part: Path, state: Path) -> None:
    """One attempt: complete `part`, or raise _Retry and leave what has arrived."""
    validator = _validator_of_part(url, state)
    offset = part.stat().st_size if validator and part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == 416 and offset:
                if _total_of(answer) == offset:
                    return  # an earlier call was stopped between the last byte and the renaming
                part.unlink()
                raise _Retry("the server refused to continue the partial file, which starts again")
            _check_status(answer, url)
            if answer.status_code != 206:
                offset = 0
            elif not re.match(rf"bytes {offset}-", answer.headers.get("Content-Range", "")):
                part.unlink(missing_ok=True)
                raise _Retry("the server sent another range than asked for")
            if not offset:  # before the state is written: it must never vouch for older bytes
                part.unlink(missing_ok=True)
            _write_state(state, url, answer)
            total = _total_of(answer)
            name = part.name.removesuffix(".part")
            bar = tqdm(desc=name, total=total, initial=offset, unit="B", unit_scale=True, mininterval=1)
            with part.open("ab" if offset else "wb") as file, bar:
                # The raw stream: a .gz file must stay compressed even if the server calls it an encoding.
                for chunk in answer.raw.stream(CHUNK_BYTES, decode_content=False):
                    file.write(chunk)
                    bar.update(len(chunk))
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise InputError(f"{url} is not a valid address: {error}") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _Retry(f"the connection failed ({type(error).__name__}: {error})") from None
    size = part.stat().st_size
    if total is not None and size != total:
        if size > total:
            part.unlink()
        raise _Retry(f"{size} bytes arrived, {total} were announced")


def _check_status(answer: requests.Response, url: str) -> None:
    code = answer.status_code
    if code in (200, 206):
        return
    text = f"the server answered {code} {answer.reason or ''}".strip()
    if code >= 500 or code in _PASSING:
        raise _Retry(text)
    raise InputError(f"{url} cannot be downloaded: {text}; check the address in the config")


def _total_of(answer: requests.Response) -> int | None:
    """Size of the whole file as announced by the answer; None when it is not."""
    text = answer.headers.get("Content-Length", "")
    if answer.status_code in (206, 416):
        text = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return int(text) if text.isdigit() else None


def _write_state(state: Path, url: str, answer: requests.Response) -> None:
    """Keep what identifies this version of the file; a weak ETag does not (RFC 9110, 13.1.5)."""
    etag = answer.headers.get("ETag", "")
    validator = etag if etag.startswith('"') else answer.headers.get("Last-Modified", "")
    state.write_text(json.dumps({"url": url, "validator": validator}))


def _validator_of_part(url: str, state: Path) -> str:
    """The validator of the bytes in the part; empty when they are of another address or of unknown origin."""
    try:
        kept = json.loads(state.read_text())
        return kept["validator"] if kept["url"] == url else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
