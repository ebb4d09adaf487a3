"""``mtftpd serve``: opens everything in an order in which mistakes are told before anything is changed, then runs."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address

import trio

from mtftpd import __version__
from mtftpd.core.dhcp.pxe_discovery import DISCOVERY_GROUP
from mtftpd.core.service import BootService
from mtftpd.core.settings import Link, Mode
from mtftpd.daemon import journal
from mtftpd.daemon.assembly import Assembly, assemble, find_link
from mtftpd.daemon.config import Config, Sources, load, unknown_variables
from mtftpd.daemon.events import Events
from mtftpd.daemon.gate import Gate
from mtftpd.daemon.hooks import Hooks
from mtftpd.daemon.journal import LOGGER, Journal, say
from mtftpd.daemon.loop import Pump
from mtftpd.daemon.metrics import Metrics
from mtftpd.daemon.neighbours import Neighbours, open_neighbours
from mtftpd.daemon.performer import Outlets
from mtftpd.daemon.query_watch import QueryWatch
from mtftpd.daemon.recorder import Recorder, revive
from mtftpd.daemon.reload import Parts, Reloader, tell_warnings
from mtftpd.daemon.server import Machinery, Server, Task
from mtftpd.daemon.sinks import Sinks
from mtftpd.daemon.status import Status
from mtftpd.daemon.store.sqlite import SqliteStore
from mtftpd.daemon.trace import Traces
from mtftpd.errors import MissingCapability
from mtftpd.net.capture import Capture
from mtftpd.net.channels import Channels, Listening
from mtftpd.net.images import ImageStore
from mtftpd.net.link_layer import LinkLayer
from mtftpd.net.queries import Queries


def serve(sources: Sources) -> int:
    """Serve until told to stop and return 0, or 1 after a failure; `StartupError` when serving cannot begin."""
    config = load(sources)
    journal.configure(config.log_format)
    for warning in unknown_variables(sources.environment):
        say(logging.WARNING, "configuration", text=warning)
    link = find_link(config)
    with ExitStack() as open_things:
        with _no_collection():
            server = _open(sources, config, link, open_things)
        try:
            trio.run(server.run)
        except Exception:
            # A bug: one line in the form that was asked for, so that whoever collects the log sees it.
            LOGGER.critical("the server failed, please report this", exc_info=True, extra={"event": "failed"})
            return 1
    return 0


@contextmanager
def _no_collection() -> Iterator[None]:
    """Leave alone what lives as long as the process: walking it again and again is half the time of a large start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _open(sources: Sources, config: Config, link: Link, open_things: ExitStack) -> Server:
    say(logging.INFO, "starting", (("version", __version__), ("interface", link.name)))
    store = ImageStore(config.root)
    open_things.callback(store.close)
    state = _open_state(config, open_things)
    store.digests = state.digests() if state is not None else {}
    assembly = assemble(config, link, store)
    settings, catalogue = assembly.settings, assembly.catalogue
    if state is not None:
        service = revive(settings, catalogue, state, time.monotonic())
        recorder = Recorder(service, state)
    else:
        service, recorder = BootService(settings, catalogue), None
    outlets = _open_outlets(config, assembly, open_things, state)
    gate, log = Gate(service), Journal()
    events = Events(config.events) if config.events is not None else None
    hooks = Hooks(config.hook) if config.hook is not None else None
    listeners = tuple(each for each in (events, hooks) if each is not None)
    traces = Traces(outlets.capture, service.nodes.find)
    pump = Pump(gate, outlets, store, Sinks(log, listeners, traces, recorder), state)
    traces.use_tap = pump.use_tap
    status = Status(service, pump, log, state, traces)
    tasks: list[Task] = [each.run for each in listeners]
    if outlets.neighbours is not None:
        tasks.append(outlets.neighbours.run)
    if config.mode is not Mode.TFTP and (queries := _open_queries(link, open_things)) is not None:
        tasks.append(QueryWatch(queries, service.fallback.querier).run)
    if config.metrics is not None:
        metrics = Metrics(config.metrics, status.totals)
        open_things.callback(metrics.close)
        tasks.append(metrics.serve)
    reloader = Reloader(sources, assembly, Parts(service, store, state, pump.perform))
    machinery = Machinery(service, gate, pump, status, outlets.capture, state, tuple(tasks))
    server = Server(machinery, reloader, config.control)
    tell_warnings(assembly, service.groups)
    pump.perform(service.started(time.monotonic()))
    if state is not None:
        state.save_digests(store.digests)
        state.save_groups(service.groups.assignments())
        state.wait()  # No client may learn of a group that a crash would give to other content.
    return server


def _open_state(config: Config, open_things: ExitStack) -> SqliteStore | None:
    if config.state is None:
        return None
    state = SqliteStore(config.state)
    open_things.callback(state.close)
    say(logging.INFO, "state-opened", (("folder", str(config.state)), ("leases", len(state.leases()))))
    return state


def _open_outlets(config: Config, assembly: Assembly, open_things: ExitStack, state: SqliteStore | None) -> Outlets:
    link = assembly.settings.link
    channels = Channels.open(
        Listening(
            link,
            config.ports,
            dhcp=config.mode is not Mode.TFTP,
            ttl=config.ttl,
            discovery_group=IPv4Address(DISCOVERY_GROUP),
        )
    )
    open_things.callback(channels.close)
    link_layer = LinkLayer(link)
    open_things.callback(link_layer.close)
    if config.mode is not Mode.TFTP and not link_layer.available:
        say(logging.WARNING, "no-raw-frames", text=f"{link_layer.reason}: DHCP answers are broadcast instead")
    capture = Capture(config.capture, link) if config.capture is not None else None
    if capture is not None:
        open_things.callback(capture.close)
    # After the ports, so that a second server does not sweep the entries of the one that has them.
    neighbours = _open_neighbours(config, link, state)
    if neighbours is not None:
        open_things.callback(neighbours.close)
    return Outlets(channels, link_layer, capture, neighbours)


def _open_queries(link: Link, open_things: ExitStack) -> Queries | None:
    try:
        queries = Queries(link)
    except MissingCapability as error:
        say(logging.INFO, "no-igmp", text=str(error))
        return None
    open_things.callback(queries.close)
    return queries


def _open_neighbours(config: Config, link: Link, state: SqliteStore | None) -> Neighbours | None:
    opened = open_neighbours(state, link.name)
    if isinstance(opened, Neighbours):
        return opened
    if config.mode is not Mode.TFTP:
        text = f"no neighbour entries are set for clients that answer no ARP: {opened}"
        say(logging.INFO, "no-neighbour-entries", text=text)
    return None
