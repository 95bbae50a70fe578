"""Files as fuzzing wants them: nearly right. Text whose fields are spoiled, and HDF5 whose parts are."""

import contextlib
import gzip
import io
import random
import re
import struct

import h5py
import numpy as np
from hypothesis import strategies as st

# What people and programs write where something else belongs.
ODD_FIELDS = [
    b"", b" ", b".", b"-", b"-1", b"0", b"1.5", b"1e5", b"1e400", b"inf", b"nan", b"NA", b"0x10", b"1_000", b"1,000",
    b"99999999999999999999", b"9" * 5000, b"+", b"?", b"#", b'"', b"'", b";", b"=", b"|", b"{}", b"%s", b"$(reboot)",
    b"../../x", b"\x00", b"\x07", b"\x1b[2J", b"\x85", "é".encode(), b"\xff", "\u2028".encode(), b"true", b"None",
    b"chr1", b"chrM", b"chr1\x0b", b"x" * 300, b"start", b"cell_type",
]  # fmt: skip
ODD_TEXT = [field.decode("utf-8", "replace") for field in ODD_FIELDS] + ["\ud800", "\n", "a\tb"]


def from_random(make):
    """The strategy of what a function of a random generator makes: much faster than drawing every choice by itself."""
    return st.randoms(use_true_random=True).map(make)


def tables(lines: list[bytes], separator: bytes = b"\t"):
    """The bytes of text files made of `lines`, some of them spoiled."""

    def make(rng: random.Random) -> bytes:
        document = []
        if rng.random() < 0.7:
            document.append(lines[0])
        for _ in range(rng.randint(0, 10)):
            line = rng.choice(lines).split(separator)
            for _ in range(rng.choice([0, 0, 0, 0, 1, 1, 2])):
                line[rng.randrange(len(line))] = _field(rng)
            if rng.random() < 0.05:
                line = line[: rng.randint(1, len(line))]
            if rng.random() < 0.05:
                line.append(_field(rng))
            document.append(separator.join(line))
        if rng.random() < 0.05:
            document.insert(rng.randint(0, len(document)), rng.randbytes(rng.randint(0, 40)))
        return finished(
            b"".join(line + rng.choice([b"\n"] * 20 + [b"\r\n", b"\r"]) for line in document), rng
        )

    return from_random(make)


def _field(rng: random.Random) -> bytes:
    return rng.choice(
        [rng.choice(ODD_FIELDS), rng.choice(ODD_FIELDS), rng.randbytes(rng.randint(0, 8)),
         str(rng.randint(-5, 10 ** rng.randint(0, 14))).encode()]
    )  # fmt: skip


def finished(content: bytes, rng: random.Random) -> bytes:
    """A file's bytes as they come from other systems and bad disks."""
    how = rng.randrange(20)
    if how == 0:
        return gzip.compress(content, mtime=0)
    if how == 1:
        packed = gzip.compress(content, mtime=0)
        return packed[: rng.randint(0, len(packed))]
    if how == 2:
        return b"\xef\xbb\xbf" + content
    if how == 3:
        return content.decode("utf-8", "replace").encode("utf-16")
    return damaged(content, rng) if how == 4 else content


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Bytes with some of them changed, cut off, doubled or zeroed."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        if not content:
            break
        i, n = rng.randrange(len(content)), rng.choice([1, 1, 2, 8, 64, 1024])
        how = rng.choice(["set", "set", "flip", "zero", "cut", "double", "end"])
        if how == "set":
            content[i] = rng.choice([0, 1, 127, 128, 255])
        elif how == "flip":
            content[i] ^= 1 << rng.randrange(8)
        elif how == "zero":
            content[i : i + n] = bytes(len(content[i : i + n]))
        elif how == "cut":
            del content[i : i + n]
        elif how == "double":
            content[i:i] = content[i : i + n]
        else:
            del content[i:]
    return bytes(content)


def _array(rng: random.Random):
    """What may stand where an array of an HDF5 file does."""
    n = rng.randint(0, 20)
    return rng.choice(
        [
            rng.choice([np.nan, np.inf, -1, 0, 1, 2**31, 2**63 - 1, -(2**63), 1e300, 0.5, True, b"x", "é"]),
            np.array([rng.randint(-3, 70) for _ in range(n)], dtype=int),
            np.array([rng.choice([0.0, 1.0, 0.5, -1.0, np.nan, np.inf, 1e30]) for _ in range(n)]),
            np.array([_name(rng) for _ in range(n)], dtype=object) if n else np.array([], "S1"),
            np.ones((n, rng.randint(0, 20)), np.float32),
        ]
    )


def _name(rng: random.Random) -> str:
    return rng.choice(ODD_TEXT[:-3]).replace("\0", "")


def hdf5(content: bytes, rng: random.Random) -> bytes:
    """An HDF5 file's bytes with parts taken out, replaced, renamed, of another size, or damaged."""
    if rng.randrange(4) == 0:
        changed = damaged(content, rng)
        return content if _never_ends(changed) else changed
    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        for _ in range(rng.randint(1, 3)):
            paths: list[str] = []
            file.visit(paths.append)
            with contextlib.suppress(Exception):  # HDF5 has limits; the file stays as it is
                _spoil(rng, file, rng.choice(sorted(paths)))
    return buffer.getvalue()


def _never_ends(content: bytes) -> bool:
    """Whether HDF5 2.0 walks a global heap of this file without end: it does at a free object of size zero.

    No caller can stop it, so such a file would end the parser's process; it is the one damage that is left out.
    """
    for heap in re.finditer(b"GCOL", content):
        size = int.from_bytes(content[heap.start() + 8 : heap.start() + 16], "little")
        place, end = heap.start() + 16, min(heap.start() + size, len(content))
        while place + 16 <= end:
            index, _, _, size = struct.unpack_from("<HHIQ", content, place)
            step = 16 + -(-size // 8) * 8 if index else size
            if not step:
                return True
            place += step
    return False


def _spoil(rng: random.Random, file: h5py.File, path: str) -> None:
    node = file[path]
    how = rng.choice(["delete", "replace", "move", "attribute", "values", "values", "values", "huge", "link"])
    if how == "attribute":
        name = rng.choice(sorted(node.attrs))
        del node.attrs[name]
        if rng.random() < 0.5:
            node.attrs[name] = _array(rng)
    elif how == "values":
        if node.size > 10**6:
            return
        values = np.array(node[()], ndmin=1)
        i = rng.randrange(values.size)
        if values.dtype.kind == "O":
            values.flat[i] = _name(rng)
        else:
            odd = [np.nan, np.inf, -0.5, 1e30] if values.dtype.kind == "f" else [-1, 2, 60, 127]
            values.flat[i] = np.asarray(rng.choice([-1, 0, 1, *odd])).astype(values.dtype)
        node[...] = values if node.ndim else values[0]
    elif how == "huge":
        shape, kind = (rng.choice([10**6, 10**9, 10**12]),), rng.choice(["i4", "f4", "i8"])
        del file[path]
        file.create_dataset(path, shape=shape, chunks=(10**6,), dtype=kind)
    elif how == "move":
        file.move(path, rng.choice(["moved", "uns/moved", "obs/moved", "var/moved"]))
    else:
        del file[path]
        links = [h5py.SoftLink("/nowhere"), h5py.SoftLink("/"), h5py.ExternalLink("none.h5", "/")]
        if how != "delete":
            file[path] = _array(rng) if how == "replace" else rng.choice(links)
