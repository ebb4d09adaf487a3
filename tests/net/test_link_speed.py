"""What interfaces say of their speed, in a namespace of this test."""

from __future__ import annotations

import os
import subprocess

import pytest

from mtftpd.net import interfaces
from mtftpd.net.link_speed import link_speed
from mtftpd.net.namespaces import private_network


def test_loopback_does_not_know_its_speed() -> None:
    assert link_speed("lo") == (0.0, False)
    assert interfaces.find("lo").speed == 0.0


def test_nor_does_what_is_not_there() -> None:
    assert link_speed("nic9") == (0.0, False)


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_a_virtual_link_says_ten_gigabit_in_whatever_namespace_it_is() -> None:
    with private_network():
        subprocess.run(("ip", "link", "add", "one", "type", "veth", "peer", "name", "other"), check=True)
        subprocess.run(("ip", "link", "set", "one", "up"), check=True)
        subprocess.run(("ip", "link", "set", "other", "up"), check=True)
        assert link_speed("one") == (10e9, False)
    assert link_speed("one") == (0.0, False)
