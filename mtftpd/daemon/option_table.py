"""The options of ``serve`` and ``check``: one table for flags, environment, configuration file and help.

A row gives the name once: ``--client-port`` is ``MTFTPD_CLIENT_PORT`` in the environment and ``client-port`` in TOML.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mtftpd.core.link.wire_time import LINKS
from mtftpd.daemon import node_values, values


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    ``read`` turns its text into the value; ``default`` is text as well ("" for none).  A ``switch`` is given without
    a value on the command line.  ``table`` says that pairs (``NAME=PATH``) may be written as a table in TOML.
    """

    name: str
    read: Callable[[str], Any]
    metavar: str
    help: str
    default: str = ""
    switch: bool = False
    many: bool = False
    table: bool = False

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return f"--{self.name}"

    @property
    def environment(self) -> str:
        """The name of the environment variable."""
        return f"MTFTPD_{self.field.upper()}"

    @property
    def field(self) -> str:
        """The name as a Python identifier."""
        return self.name.replace("-", "_")


def yes_or_no(text: str) -> bool:
    """Read a switch from the environment."""
    lowered = text.lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off"):
        return False
    raise ValueError("is neither true nor false; give one of the two")


NETWORK = "Network"
BANDWIDTH = "Bandwidth"
FILES = "Files"
MULTICAST = "Multicast (MTFTP)"
ADDRESSES = "Addresses (DHCP)"
OPERATION = "Operation"

OPTIONS: dict[str, tuple[Option, ...]] = {
    NETWORK: (
        Option("interface", values.clean_text, "NAME", "Interface to serve. Default: the only one that is up."),
        Option("mode", values.mode, "dhcp|proxy|tftp",
               "Who gives out addresses: this server (dhcp), another one on the same network (proxy), or nobody: "
               "DHCP is left alone (tftp).", "proxy"),
        Option("allow", values.network, "NETWORK",
               "Network beyond the link whose clients may be served, such as one behind a relay. Repeatable.",
               many=True),
        Option("serve-all", yes_or_no, "", "Answer every DHCP client, not only PXE, HTTP boot and BOOTP clients.",
               "false", True),
    ),
    BANDWIDTH: (
        Option("rate", values.rate, "RATE",
               "Limit of everything that is sent, on the wire with all headers, in bits a second such as 80M or 1.5G; "
               "none for no limit. Multicast passes and unicast transfers share it; transfers keep a quarter. Default: "
               "80 % of the speed of the link, 60 % on half duplex; no limit where the speed is not known."),
        Option("link", values.link, "KIND",
               f"What the nodes are on, where that is slower than the interface or a hub: {', '.join(LINKS)}. "
               "Sets the length of bursts, and the default of --rate. Default: what the interface reports."),
        Option("weight", values.weight, "NAME=N",
               "Share of an image against others that are sent at the same time, 1 to 100. Repeatable. Default: 1.",
               many=True, table=True),
    ),
    FILES: (
        Option("root", values.path, "DIR",
               "Folder whose files TFTP gives out under their paths. Default: /srv/mtftpd if it exists, else the "
               "current folder."),
        Option("image", values.image, "NAME=PATH",
               "File (relative to the root) that gets a multicast group; clients may ask for NAME or PATH. "
               "Repeatable.", many=True, table=True),
        Option("boot-file", values.boot_file, "NAME|PATH|URI",
               "What clients are told to boot. A URI such as mtftp://SERVER:1759/NAME is for iPXE; others get the "
               "path in it. Default: the only image."),
        Option("boot-file-for", values.architecture_file, "ARCH=NAME",
               f"Boot file of one architecture: a number of DHCP option 93 or one of "
               f"{', '.join(values.ARCHITECTURES)}. Repeatable.", many=True, table=True),
    ),
    MULTICAST: (
        Option("group", values.group, "ADDRESS",
               "Multicast group of the first image; the other images get the addresses that follow. Without it "
               "nothing is multicast, except to iPXE."),
        Option("client-port", values.port, "PORT", "UDP port that clients listen on.", "1799"),
        Option("server-port", values.port, "PORT", "UDP port that clients open a transfer on.", "1542"),
        Option("timeout-seconds", values.seconds_on_the_wire, "SECONDS",
               "How long clients listen before they open, and between two opens (tags 4 and 5).", "2"),
        Option("ttl", values.time_to_live, "HOPS", "Time to live of multicast packets.", "1"),
        Option("faithful", yes_or_no, "",
               "Send to a group only while a client acknowledges each block, as PXE 2.1 has it. Without it the server "
               "also sends at a pace that it has learnt, where several clients want an image and packets get lost.",
               "false", True),
    ),
    ADDRESSES: (
        Option("range", values.address_range, "FIRST-LAST", "Addresses to give out with --mode dhcp."),
        Option("router", values.address, "ADDRESS", "Default gateway that clients are told."),
        Option("lease-time", values.lease_time, "TIME", "Length of a lease: seconds, or a number with m, h or d.",
               "12h"),
        Option("dns", values.address, "ADDRESS", "Name server for clients that ask. Repeatable.", many=True),
        Option("ntp", values.address, "ADDRESS", "Time server for clients that ask. Repeatable.", many=True),
        Option("domain", node_values.domain, "NAME", "Domain name for clients that ask."),
    ),
    OPERATION: (
        Option("without", node_values.work_around, "ACTION",
               "Leave out this work-around for faults of ROMs; mtftpd rom show names them. Repeatable.", many=True),
        Option("rollover", values.rollover, "0|1", "Block number that follows 65535 in unicast TFTP.", "0"),
        Option("control", values.path, "SOCKET", "Unix socket that answers questions about the running server. "
               "Default: control.sock in $RUNTIME_DIRECTORY."),
        Option("events", values.path, "FILE", "Append every event to this file, one JSON object a line."),
        Option("hook", values.path, "PROGRAM",
               "Run PROGRAM STATE HARDWARE ADDRESS when a node moves to another state; the variables MTFTPD_STATE, "
               "_FROM, _REASON, _FILE and others tell more."),
        Option("metrics", values.listen, "ADDRESS:PORT", "Serve counters for Prometheus at /metrics of this address."),
        Option("capture", values.path, "FILE", "Write every packet received and sent to this pcapng file."),
        Option("state", values.path, "DIR",
               "Folder for what outlives the server: leases, which group belongs to which file content, and which "
               "neighbour (ARP) entries were set. Default: $STATE_DIRECTORY."),
        Option("log-format", values.log_format, "text|json", "Form of log lines on standard error.", "text"),
    ),
}  # fmt: skip

BY_NAME: dict[str, Option] = {option.name: option for section in OPTIONS.values() for option in section}

FIXED_WHILE_RUNNING = (
    "interface", "root", "client-port", "server-port", "ttl", "control", "events", "hook", "metrics",
    "capture", "state", "log-format",
)  # fmt: skip
"""What a reload cannot change: sockets and files that are open as long as the server runs."""
