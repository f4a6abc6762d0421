from pathlib import Path

import pytest

from touchstone.errors import ConfigError
from touchstone.files.inside import is_plain, join_inside


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "out/x", "loop", "loop/x", "a/out/x"])
def test_what_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)
    (root / "a" / "out").symlink_to("/")
    (root / "loop").symlink_to("loop")
    with pytest.raises(ConfigError, match="leads out of"):
        join_inside(root, path)


@pytest.mark.parametrize("path", ["x", "a/x", "a/../x", "in/x", "."])
def test_what_stays_inside_is_joined(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "in").symlink_to(root / "a")
    (tmp_path / "link").symlink_to(root)
    assert join_inside(root, path) == root / path
    assert join_inside(tmp_path / "link", path) == tmp_path / "link" / path


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/../b", "/x", "a//b", "a/", "a\\b", "a\0b", "a\nb", "x" * 5000]
)
def test_a_name_of_a_file_leads_nowhere_else(name: str) -> None:
    assert not is_plain(name)


@pytest.mark.parametrize("name", ["x", "a/b.json", "a b/ü.parquet", "..a", "a..b"])
def test_a_plain_name_is_plain(name: str) -> None:
    assert is_plain(name)
