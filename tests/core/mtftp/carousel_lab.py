"""A lab whose clients are those of iPXE's group."""

from __future__ import annotations

from mtftpd.core.effects import Service
from mtftpd.core.images import Image
from mtftpd.core.mtftp.pass_rates import PassRate
from mtftpd.wire.datagram import Endpoint
from tests.core.mtftp.mtftp_lab import PACED, Lab, sent

A, B = Endpoint("10.0.0.11", 2000), Endpoint("10.0.0.12", 3000)
SLOW = PassRate("ipxe-mtftp", 0.001, factor=1.0)
"""1,000 blocks a second."""


class IpxeLab(Lab):
    """A lab whose clients speak to iPXE's port."""

    def __init__(self, *images: Image, rates: tuple[PassRate, ...] = (SLOW,)) -> None:
        super().__init__(*images, settings=PACED, rates=rates)

    def asks(self, source: Endpoint):  # type: ignore[no-untyped-def]
        return self.open(source, socket=Service.MTFTP_IPXE)

    def says(self, source: Endpoint, number: int):  # type: ignore[no-untyped-def]
        return self.ack(source, number, socket=Service.MTFTP_IPXE)

    def to_poll(self) -> list[tuple[Endpoint, int, int]]:
        """Let the turn that runs, or is about to, come to its end; return what left at that moment."""
        while self.carousel.state != "poll":
            effects = self.until_due()
        return sent(effects)

    @property
    def carousel(self):  # type: ignore[no-untyped-def]
        return self.service.statistics().groups[1]
