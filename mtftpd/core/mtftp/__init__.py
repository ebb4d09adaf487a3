"""Multicast TFTP of PXE 2.1: the session of a group, its gears, and the carousel for iPXE."""
