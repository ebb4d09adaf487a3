"""mtftpd: one boot server for DHCP, PXE, multicast TFTP (MTFTP) and TFTP.

The package is built in floors, and imports only go down:

=======  ==========================  ===========================================================
floor 4  ``cli``                     commands: parse arguments, call floor 3
floor 3  ``daemon``                  configuration, wiring, performing effects, journal, control
floor 2  ``net``                     sockets, interfaces, neighbours, image files, captures
         ``sim``                     a network in virtual time, with both machines of floor 1 on it
floor 1  ``core``, ``rom``           the server and the client state machines: no I/O, no clock
floor 0  ``wire``, ``errors``        packets: construct schemas, frozen values, fast paths
         ``quirks``                  the faults of boot ROMs: records, profiles, how they are recognised
=======  ==========================  ===========================================================

``core`` and ``rom`` never import each other: they are independent readings of the same documents.
"""

__version__ = "0.1.0"
