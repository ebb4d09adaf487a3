from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mtftpd.core.settings import Mode
from mtftpd.daemon import config as module
from mtftpd.daemon.config import Config, Sources, load, relative_path, unknown_variables
from mtftpd.daemon.option_table import BY_NAME
from mtftpd.daemon.values import ImageName
from mtftpd.errors import BadConfig
from tests.daemon.conftest import MakeConfig, sources


def mistakes(root: Path, **flags: str | tuple[str, ...]) -> list[str]:
    with pytest.raises(BadConfig) as caught:
        load(sources(root, **flags))
    return str(caught.value).splitlines()


def test_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "DEFAULT_ROOT", tmp_path / "missing")
    config = load(Sources(default_config=tmp_path / "missing"))
    assert config.mode is Mode.PROXY
    assert (config.client_port, config.server_port, config.timeout_seconds, config.ttl) == (1799, 1542, 2, 1)
    assert config.root == tmp_path
    assert config.ports.mtftp_server == 1542
    assert {origin.place for origin in config.origins.values()} == {"default"}
    monkeypatch.setattr(module, "DEFAULT_ROOT", tmp_path)
    monkeypatch.chdir("/")
    assert load(Sources(default_config=tmp_path / "missing")).root == tmp_path


def test_flag_over_environment_over_file_over_default(tmp_path: Path, root: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text(f'ttl = 3\ngroup = "239.3.3.3"\nclient-port = 3333\nroot = "{root}"\n[image]\nfile = "nbp"\n')
    everything = Sources(
        flags={"group": ("239.1.1.1",)},
        environment={"MTFTPD_GROUP": "239.2.2.2", "MTFTPD_CLIENT_PORT": "2222", "MTFTPD_IMAGE": "env=nbp two=other",
                     "MTFTPD_CONFIG": str(file), "MTFTPD_SERVER_PORT": ""},
    )  # fmt: skip
    config = load(everything)
    assert config.group == IPv4Address("239.1.1.1")
    assert config.client_port == 2222
    assert config.ttl == 3
    assert config.server_port == 1542
    assert [image.name for image in config.image] == ["env", "two"]
    assert config.file == file
    assert [config.origins[name].place for name in ("group", "client-port", "ttl", "server-port", "image")] == [
        "--group", "MTFTPD_CLIENT_PORT", f"{file}:1", "default", "MTFTPD_IMAGE",
    ]  # fmt: skip


def test_the_default_file_is_read_when_it_exists(tmp_path: Path, root: Path) -> None:
    file = tmp_path / "default.toml"
    file.write_text(f'ttl = 9\nroot = "{root}"\n')
    assert load(Sources(default_config=file)).ttl == 9
    other = tmp_path / "other.toml"
    other.write_text(f'ttl = 8\nroot = "{root}"\n')
    assert load(Sources(config=other, default_config=file)).ttl == 8


def test_state_directory_of_systemd(root: Path) -> None:
    flags = {"root": (str(root),)}
    config = load(Sources(flags, {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, None, Path("/-")))
    assert config.state == Path("/var/lib/a")
    assert config.origins["state"].place == "STATE_DIRECTORY"


def test_all_wrong_values_are_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text("\nttl = 0\nfoo = 1\n")
    with pytest.raises(BadConfig) as caught:
        load(Sources({"client-port": ("99999",)}, {"MTFTPD_GROUP": "10.0.0.1"}, file))
    text = str(caught.value)
    assert f"--ttl 0 (from {file}:2): is not a time to live; give a number from 1 to 255" in text
    assert "--client-port 99999: is not a UDP port; give a number from 1 to 65535" in text
    assert "--group 10.0.0.1 (from MTFTPD_GROUP): is not a multicast address; give one such as 239.1.1.1" in text
    assert f"{file}:3: unknown key foo" in text
    assert len(text.splitlines()) == 4


def test_contradictions(root: Path) -> None:
    assert mistakes(root, mode="dhcp") == ["--mode dhcp: needs addresses to give out; add --range FIRST-LAST"]
    assert mistakes(root, server_port="69") == [
        "--server-port 69: is the port of TFTP; choose another one, such as 1542"
    ]
    assert mistakes(root / "nbp") == [f"--root {root}/nbp: is not a folder; create it or name another one"]


def test_images_must_be_files_below_the_root(root: Path) -> None:
    (root / "out").symlink_to("/etc")
    (root / "folder").mkdir()
    images = ("a=missing", "b=../x", "c=out/hostname", "d=folder", "e=nbp", "e=other", "e=nbp", f"f={root}/nbp")
    assert mistakes(root, image=images) == [
        f"--image a=missing: there is no such file below the root {root}",
        f"--image b=../x: is outside the root {root}; move the file there or choose another --root",
        f"--image c=out/hostname: is outside the root {root}; move the file there or choose another --root",
        "--image d=folder: is not a regular file",
        "--image e=other: the name e already stands for nbp; choose another name",
    ]


def test_paths_are_relative_to_the_root(make_config: MakeConfig, root: Path) -> None:
    config = make_config()
    assert relative_path(config, ImageName("n", "./a/../nbp")) == "nbp"
    assert relative_path(config, ImageName("n", f"{root}/nbp")) == "nbp"


def test_unknown_variables_are_named() -> None:
    environment = {"MTFTPD_GRUOP": "x", "MTFTPD_ZZZZZZ": "x", "MTFTPD_TTL": "1", "MTFTPD_CONFIG": "x", "PATH": "x"}
    assert list(unknown_variables(environment)) == [
        "environment variable MTFTPD_GRUOP names no option and is ignored; did you mean MTFTPD_GROUP?",
        "environment variable MTFTPD_ZZZZZZ names no option and is ignored",
    ]


def test_every_option_is_a_field(make_config: MakeConfig) -> None:
    config = make_config()
    assert {option.field for option in BY_NAME.values()} <= set(Config.__dataclass_fields__)
    assert config.said("group") == "--group (from default)"
