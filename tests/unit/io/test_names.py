"""Names that are data never become paths or commands."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grids.io.errors import InputError
from grids.io.names import MAX_LENGTH, check_names, escape, unescape

HOSTILE = [
    "a/b", "/etc/passwd", "..", ".", "../../x", "~", "-rf", "a b", "'", '"', ";", "a;b", "$(touch x)", "`touch x`",
    "$HOME", "a\nb", "a\tb", "a\0b", "{cell_type}", "*", "?", "|", "&", "=2F", "é", "\u0645", "\ud800", "CON",
    "x" * 300, "é" * 300, "/" * 300, "",
]  # fmt: skip
NAMES = st.text(st.characters(), max_size=400) | st.sampled_from(HOSTILE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Oligo", "Oligo"),
        ("L2/3", "L2=2F3"),
        ("CD8+ T", "CD8+=20T"),
        ("..", "=2E."),
        ("", "="),
        ("é", "=C3=A9"),
    ],
)
def test_file_names(name, expected):
    assert escape(name) == expected


def test_long_names_are_cut_but_stay_different():
    a, b = escape("x" * 300), escape("x" * 299 + "y")
    assert len(a) == len(b) == 80
    assert a != b


@given(NAMES)
def test_a_file_name_is_safe_in_paths_shells_and_patterns(name):
    escaped = escape(name)
    assert re.fullmatch(r"[A-Za-z0-9+_=][A-Za-z0-9+_.=-]*", escaped)
    assert len(escaped) <= MAX_LENGTH  # with suffixes and temporary names far below the 255 of file systems


@given(NAMES)
def test_labels_show_the_name_behind_a_file_unless_it_was_cut(name):
    label = name.encode("utf-8", "surrogatepass").decode(errors="replace")
    assert len(escape(name)) == MAX_LENGTH or unescape(escape(name)) == label or not name


@given(NAMES, NAMES)
def test_different_names_have_different_files(one, other):
    assert (escape(one) == escape(other)) == (one == other)


@given(st.text("ab/", min_size=90, max_size=400), st.integers(0, 399), st.sampled_from("ab/"))
def test_long_names_that_differ_anywhere_have_different_files(name, position, character):
    i = position % len(name)
    other = name[:i] + character + name[i + 1 :]
    assert (escape(name) == escape(other)) == (name == other)


@pytest.mark.parametrize("name", HOSTILE)
def test_files_stay_in_their_folder(tmp_path, name):
    path = tmp_path / "inside" / f"{escape(name)}.accessibility.bw"
    path.parent.mkdir()
    path.write_text("")
    assert [p.resolve() for p in tmp_path.rglob("*.bw")] == [path.resolve()]
    assert path.resolve().parent == tmp_path.resolve() / "inside"


@pytest.mark.parametrize("name", ["", "a\tb", "a\nb", "a\rb", "a\0b", "a\x1b[2Jb", "a\x85b", "a\u2028b"])
def test_names_that_no_line_can_hold_are_refused(name):
    with pytest.raises(
        InputError, match=r"^genes of x: 1 are empty or hold a tab, line break or control character"
    ):
        check_names(["A", name, "é ; $(x) 'quoted'"], "genes of x")
    check_names(["A", "é ; $(x) 'quoted'"], "genes of x")
