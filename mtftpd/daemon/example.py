"""The example of a configuration file that ``mtftpd check --example`` prints."""

from __future__ import annotations

from typing import Final

EXAMPLE: Final = """\
# Configuration of mtftpd: /etc/mtftpd/mtftpd.toml. mtftpd check reads it and tells what is wrong with it;
# mtftpd check --node NODE tells what one node gets; SIGHUP puts it in force without disturbing what runs.
#
# The keys up to the first table are those of mtftpd serve --help. Most of them can be said again in a [[subnet]], a
# [[group]] or a [[node]], and then hold there: node over group over subnet over this part.

interface = "eth1"
mode = "dhcp"                           # or "proxy", beside another DHCP server
root = "/srv/mtftpd"
multicast-group = "239.1.1.1"           # the group of the first image; "group" in a file without [[group]]
state = "/var/lib/mtftpd"
lease-time = "12h"
domain = "cluster.example"
dns = ["192.168.7.2", "192.168.7.3"]    # told to clients that ask, as domain and ntp are
ntp = ["192.168.7.2"]
boot-file = "loader"                    # a name of an image, a path below the root, or a URI for iPXE
boot-file-for = { uefi-x64 = "boot/grubx64.efi", uefi-arm64 = "boot/grubaa64.efi" }

# Files with a multicast group. "path" is below the root; everything else below the root is served by unicast TFTP.

[[image]]
name = "node"
path = "images/node.img"
aliases = ["node.img", "boot/node.img"] # other names that clients may ask for
multicast = true                        # an error when the file is too large for that; the default is: if it can be
weight = 3                              # three times the share of an image without, while both are sent
group = "239.1.2.1"                     # the first content of this image; each new content gets the next address
pace = "none"                           # whoever listens to it keeps up with anything, or with a rate such as "400M":
                                        # say so of loaders of your own, never of ROMs, whose pace is found out

[[image]]
name = "loader"
path = "boot/pxelinux.0"

[[image]]
name = "rescue"
path = "images/rescue.img"
multicast = false

# Networks. The link's own need not be one of them; others are those of relay agents, and clients in them are served.

[[subnet]]
network = "192.168.7.0/24"
range = "192.168.7.100-192.168.7.250"
router = "192.168.7.1"

[[subnet]]
network = "10.20.0.0/16"
range = "10.20.1.1-10.20.8.254"
router = "10.20.0.1"
lease-time = "1h"
multicast = false                       # unicast only; behind a relay agent it is that anyway

# Groups of nodes.

[[group]]
name = "gpu"
boot-file = "node"                      # takes the place of boot-file, boot-file-for and menu further out

[[group]]
name = "blades"
rom = "rlx-3nic"                        # a name of mtftpd rom list: what these clients are, whatever they look like
without = ["unicast_l2"]                # work-arounds that are left out (mtftpd rom show names them),
with = ["force_broadcast"]              # and those that are done without waiting for a sign that they are needed

# Nodes, by their hardware addresses or the UUID that dmidecode shows.

[[node]]
name = "gpu1"
hardware = "52:54:00:12:34:56"
group = "gpu"
address = "192.168.7.20"                # in the range or not; nobody else is given it
host-name = "gpu1"

[[node]]
name = "blade1"
hardware = ["00:50:c2:00:00:01", "00:50:c2:00:00:02", "00:50:c2:00:00:03"]
bootable = "00:50:c2:00:00:02"          # this interface has the address
other-nics = "silent"                   # or "hold"
group = "blades"
address = "192.168.7.21"

[[node]]
name = "lab"
uuid = "00112233-4455-6677-8899-aabbccddeeff"
rom = "intel-bios"
boot-file = "node"

[node.menu]                             # of the [[node]] above; at the top of the file it is [menu], for everybody
prompt = "Press F8 for the boot menu"
timeout = 10
item = [
  { type = 0, text = "Local disk" },
  { type = 17, text = "Node" },
  { type = 18, text = "Rescue", boot-file = "rescue" },
]
"""
