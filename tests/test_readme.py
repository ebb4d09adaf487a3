"""What the README says can be done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mtftpd.cli import COMMANDS, conformance
from mtftpd.daemon.config import Sources, load
from mtftpd.daemon.option_table import BY_NAME

TOP = Path(__file__).parents[1]
README = (TOP / "README.md").read_text()


def test_the_cluster_in_ten_lines_is_a_valid_configuration(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    lines = [line for line in block.splitlines() if not line.startswith("#")]
    assert len(lines) == 10
    root = tmp_path / "root"
    (root / "boot").mkdir(parents=True)
    for name in ("node.img", "boot/pxelinux.0", "boot/grubx64.efi"):
        (root / name).write_text(name)
    file = tmp_path / "mtftpd.toml"
    file.write_text(block.replace("/srv/mtftpd", str(root)))
    config = load(Sources(config=file))
    assert [image.name for image in config.image] == ["node", "loader"]
    assert config.boot_file_for[0].numbers == (7, 9)


@pytest.mark.parametrize("path", re.findall(r"\| `([\w./]+)` \|", README))
def test_the_map_of_folders_is_true(path: str) -> None:
    assert (TOP / path).is_dir()


def test_commands_and_options_exist() -> None:
    assert set(re.findall(rf"mtftpd ({'|'.join(COMMANDS)})\b", README)) == set(COMMANDS)
    known = {option.flag for option in BY_NAME.values()} | {
        "--config",
        "--system",
        "--watch",
        "--follow",
        "--json",
        "--help",
        "--node",
        "--example",
    }
    known |= {option for parameter in conformance.server.params for option in parameter.opts}
    assert set(re.findall(r"(--[a-z-]+)", re.sub(r"\|-+", "", README))) <= known
