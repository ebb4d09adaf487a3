"""Floor 1: the server as state machines, with no I/O, no clock, no randomness and no logging.

Time is an argument, and whatever must happen in the world is returned as a value (``mtftpd.core.effects``).
`mtftpd.core.service` puts the packages together; `mtftpd.core.groups` is where DHCP and MTFTP meet.
"""
