"""TFTP on port 69: one machine for each transfer, what options grant (RFC 2347), and multicast of RFC 2090."""
