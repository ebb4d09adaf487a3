"""The simulated host of the server: what its sockets would do."""

from __future__ import annotations

from mtftpd.core.effects import FIRST_TRANSFER, CloseTransfer, OpenTransfer
from mtftpd.sim.server import FIRST_PORT, PORTS
from mtftpd.sim.simulation import Simulation
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Datagram, Endpoint
from tests.sim.scenes import scene

NODE = Endpoint("10.77.1.1", 2000)


def to_server(simulation: Simulation, port: int, data: bytes) -> None:
    simulation.fabric.on_arrival(Datagram(0, NODE, Endpoint("10.77.0.1", port), data))


def test_a_port_that_nobody_has() -> None:
    simulation = Simulation(scene(1))
    to_server(simulation, 9, b"")
    assert simulation._server.no_such_port == 1


def test_a_file_that_is_not_there_is_refused() -> None:
    simulation = Simulation(scene(1))
    to_server(simulation, 69, tftp.build(tftp.Request(tftp.Opcode.RRQ, b"other")))
    while simulation.clock.step(0.001):
        pass
    assert simulation._server.reports["tftp-refused"] == 1


def test_a_port_goes_to_the_newest_transfer_that_has_it() -> None:
    server = Simulation(scene(1))._server
    older, newer = FIRST_TRANSFER, FIRST_TRANSFER + PORTS
    server._perform((OpenTransfer(older, NODE), OpenTransfer(newer, NODE)))
    assert server._socket_of[FIRST_PORT] == newer
    server._perform((CloseTransfer(older),))
    assert server._socket_of[FIRST_PORT] == newer
    server._perform((CloseTransfer(newer),))
    assert FIRST_PORT not in server._socket_of
