"""Which paths a workspace takes, and how it writes them."""

import pytest

from common.workspaces.paths import InvalidPath, check_path, check_tree


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("train.py", "train.py"),
        ("./digits/./train.py", "digits/train.py"),
        (".env", ".env"),
        ("data/ünï.csv", "data/ünï.csv"),
        ("u\u0308.py", "ü.py"),
        ("a b/c+d (1).txt", "a b/c+d (1).txt"),
    ],
)
def test_one_way_of_writing(given: str, stored: str) -> None:
    assert check_path(given) == stored
    assert check_path(stored) == stored


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/etc/passwd", "a//b", "a/", ".", "./"),
        *("..", "../a", "a/../../b", "a/.."),
        *("a\\b", "C:\\a", "a\0b", "a\nb", "\u202egnp.py", "a\u200bb", "\ud800"),
        *(" a", "a ", "a/ b", "a.", "a./b"),
        *("a" * 201, "/".join("a" * 17), "a/" * 300 + "a"),
    ],
)
def test_what_is_refused_is_said_without_being_repeated_at_length(path: str) -> None:
    with pytest.raises(InvalidPath) as refused:
        check_path(path)
    assert len(str(refused.value)) < 250


def test_nothing_is_a_file_and_a_folder() -> None:
    check_tree(["a/b", "a/c/d", "a/c/e"])
    with pytest.raises(InvalidPath, match="a file and a folder"):
        check_tree(["a/b/c", "a/b"])
