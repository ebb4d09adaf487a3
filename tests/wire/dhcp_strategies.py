"""hypothesis strategies for DHCP: everything that our builders accept."""

from __future__ import annotations

from hypothesis import strategies as st

from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.options import Options

names = st.binary(max_size=63).map(lambda octets: octets.replace(b"\0", b"x"))
codes = st.integers(1, 254).filter(lambda code: code not in (52, 53))
options = st.builds(
    lambda kind, rest: Options({**kind, **rest}),
    st.one_of(st.just({}), st.binary(min_size=1, max_size=1).map(lambda octets: {53: octets})),
    st.dictionaries(codes, st.binary(max_size=40), max_size=8),
)
_fields = {
    "op": st.sampled_from((1, 2)),
    "xid": st.integers(0, 2**32 - 1),
    "chaddr": st.binary(min_size=16, max_size=16),
    "htype": st.integers(0, 255),
    "hlen": st.integers(0, 16),
    "hops": st.integers(0, 255),
    "secs": st.integers(0, 65535),
    "flags": st.integers(0, 65535),
    "ciaddr": st.ip_addresses(v=4),
    "yiaddr": st.ip_addresses(v=4),
    "siaddr": st.ip_addresses(v=4),
    "giaddr": st.ip_addresses(v=4),
    "sname": names,
    "file": names,
}
messages = st.builds(DhcpMessage, **_fields, options=options)
bootp_messages = st.builds(DhcpMessage, **_fields, is_dhcp=st.just(False))
