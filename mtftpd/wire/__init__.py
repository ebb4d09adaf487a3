"""Floor 0: every packet as a construct schema, a frozen value and a builder.

Bytes from the network enter through functions named ``parse_untrusted``; they return a frozen dataclass or raise
``mtftpd.errors.Malformed``, and nothing else.  The schema next to each of them describes every field for people.
"""
