"""``python -m tools.bench.dhcp``: DHCP of mtftpd and its peers under perfdhcp, one after the other on one segment.

Of each server, with each number of clients: the avalanche (all clients at once, until all have a lease), the highest
rate of whole exchanges (DISCOVER to ACK) with less than 1 % of drops, and what is left of it when four times as much is
asked for.  perfdhcp plays a relay agent and has the same processors as the server: ratios say more than rates.  Its
clients say that they are PXE ROMs.
"""

from __future__ import annotations

import json
import re
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from tools.bench import dhcp_peers, peers
from tools.bench.meter import Meter
from tools.lab.segment import SERVER_ADDRESS, Segment, client_address

PORT = 67
DROPS_PERCENT = 1.0
FIRST_RATE, LAST_RATE, LEAST_RATE = 500, 16_000, 30
FINER_STEPS = 2
OVERLOAD = 4
AVALANCHE_SECONDS = 20
CLASS = ("-o", "60," + b"PXEClient:Arch:00000:UNDI:002001".hex(), "-o", "93,0000")
_RECEIVED = re.compile(r"received packets: (\d+)")
_DROPS = re.compile(r"drops ratio: ([\d.]+) %")
_SENT = re.compile(r"sent packets: (\d+)")
_TOOK = re.compile(r"It took (\d+):(\d+):([\d.]+) to provision")
_RESENT = re.compile(r"Requests resent: (\d+)")


@dataclass(frozen=True)
class Result:
    """What one server did; ``avalanche`` in seconds, None when somebody had no lease at the end."""

    peer: str
    clients: int
    avalanche: float | None
    resent: int
    rate: float
    cpu_us: float
    overload: float
    offered: float

    @property
    def goodput(self) -> float:
        """The part of its rate that is left under overload."""
        return self.overload / self.rate if self.rate else 0.0


class Load:
    """perfdhcp in the namespace of the client, with ``clients`` hardware addresses."""

    def __init__(self, segment: Segment, clients: int, seconds: int) -> None:
        self._segment = segment
        self._clients = clients
        self.seconds = seconds

    def avalanche(self) -> tuple[float | None, int]:
        """Let all ask at once; return the seconds until all have a lease, and how many packets were sent again."""
        output = self._run("--scenario", "avalanche", cap=AVALANCHE_SECONDS)
        took = _TOOK.search(output)
        resent = int(_found(_RESENT, output))
        # When it is interrupted it says how long it ran.
        seconds = int(took[1]) * 3600 + int(took[2]) * 60 + float(took[3]) if took else float(AVALANCHE_SECONDS)
        return (seconds if seconds < AVALANCHE_SECONDS - 0.5 else None), resent

    def at(self, rate: int) -> tuple[float, float, float]:
        """Offer ``rate`` exchanges a second; return those that were completed, what was sent, and percent of drops."""
        output = self._run("-r", str(rate), "-p", str(self.seconds), "-W", "300000", cap=self.seconds + 10)
        drops = [float(each) for each in _DROPS.findall(output)]
        _, acks = map(int, _RECEIVED.findall(output))  # of DISCOVERs, of REQUESTs
        return acks / self.seconds, int(_found(_SENT, output)) / self.seconds, max(drops)

    def _run(self, *arguments: str, cap: int) -> str:
        return self._segment.run(
            self._segment.client(1), "timeout", "-s", "INT", str(cap), "perfdhcp", "-4", "-l", client_address(1),
            *arguments, "-R", str(self._clients), "-b", "mac=02:00:00:00:00:00", *CLASS, SERVER_ADDRESS,
            check=False, timeout=cap + 10,
        )  # fmt: skip


def _found(pattern: re.Pattern[str], output: str) -> str:
    found = pattern.search(output)
    if found is None:
        raise RuntimeError(f"perfdhcp does not say {pattern.pattern!r}: {output[-500:]!r}")
    return found[1]


def peak(load: Load, meter: Meter) -> tuple[int, float, float]:
    """Return the highest rate that was offered with few drops, what was completed then, and its CPU an exchange."""
    best = (0, 0.0, 0.0)

    def is_served(rate: int) -> bool:
        nonlocal best
        before = meter.seconds()
        completed, sent, drops = load.at(rate)
        used = meter.seconds() - before
        served = drops < DROPS_PERCENT and sent > 0.9 * rate
        click.echo(f"  {rate}/s: {completed:.0f}/s, {drops:.2f} % dropped", err=True)
        if served and completed > best[1]:
            best = (rate, completed, used / (completed * load.seconds) * 1e6)
        return served

    good, bad = 0, FIRST_RATE
    while bad <= LAST_RATE and is_served(bad):
        good, bad = bad, bad * 2
    while not good and bad // 2 >= LEAST_RATE:
        good, bad = (bad // 2, bad) if is_served(bad // 2) else (0, bad // 2)
    for _ in range(FINER_STEPS if good and bad <= LAST_RATE else 0):
        middle = round((good * bad) ** 0.5)
        good, bad = (middle, bad) if is_served(middle) else (good, middle)
    return best


def measure(segment: Segment, peer: str, clients: int, seconds: int) -> Result:
    """Start ``peer`` with no leases, and return what it does."""
    load = Load(segment, clients, seconds)
    with tempfile.TemporaryDirectory() as name:
        command, environment = dhcp_peers.prepared(peer, Path(name))
        with peers.running(segment, command, PORT, environment) as meter:
            avalanche, resent = load.avalanche()
            click.echo(f"  avalanche: {avalanche or 'not finished'} s, {resent} sent again", err=True)
            offered, rate, cpu = peak(load, meter)
            overload, sent, _ = load.at(max(offered, LEAST_RATE) * OVERLOAD)
            click.echo(f"  {sent:.0f}/s: {overload:.0f}/s", err=True)
    return Result(peer, clients, avalanche, resent, rate, cpu, overload, sent)


def table(results: list[Result]) -> str:
    """Return a Markdown table: medians of the runs of each server, and ours to theirs."""
    lines = [
        "### DHCP, DISCOVER to ACK, leases on disk",
        "",
        "| server | clients | avalanche s | sent again | exchanges/s | CPU us each | under overload | of the rate | ours / theirs |",  # noqa: E501
        "|---" * 9 + "|",
    ]
    for clients in dict.fromkeys(each.clients for each in results):
        ours = statistics.median(each.rate for each in results if (each.peer, each.clients) == ("mtftpd", clients))
        for peer in dict.fromkeys(each.peer for each in results):
            runs = [each for each in results if (each.peer, each.clients) == (peer, clients)]
            times = [each.avalanche for each in runs if each.avalanche is not None]
            avalanche = f"{statistics.median(times):.2f}" if len(times) == len(runs) else "not finished"
            rate = statistics.median(each.rate for each in runs)
            cells = [
                f"{statistics.median(each.resent for each in runs):.0f}",
                f"{rate:.0f}",
                f"{statistics.median(each.cpu_us for each in runs):.0f}",
                f"{statistics.median(each.overload for each in runs):.0f}",
                f"{statistics.median(each.goodput for each in runs):.0%}",
                f"{ours / rate:.2f}" if rate else "-",
            ]
            lines.append(f"| {peer} | {clients} | {avalanche} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


@click.command()
@click.option("--clients", multiple=True, type=int, default=(2_000, 10_000), show_default=True, help="How many.")
@click.option("--peer", "chosen", multiple=True, type=click.Choice(dhcp_peers.PEERS), default=dhcp_peers.PEERS)
@click.option("--seconds", default=2, show_default=True, help="Length of one measurement at one rate.")
@click.option("--repeat", default=1, show_default=True, help="Runs of each server, by turns; medians are printed.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for dhcp.json and dhcp.md.")
def main(clients: tuple[int, ...], chosen: tuple[str, ...], seconds: int, repeat: int, out: Path | None) -> None:
    """Measure DHCP of mtftpd, Kea, ISC dhcpd and dnsmasq with perfdhcp, side by side; needs root.

    \b
    Examples:
      python -m tools.bench.dhcp --out bench-out
      python -m tools.bench.dhcp --clients 500 --peer mtftpd --peer kea
    """
    if absent := dhcp_peers.missing():
        raise click.ClickException(f"not installed: {' '.join(absent)}; apt-get install them")
    results: list[Result] = []
    with Segment("bdh", clients=1) as segment:
        for turn in range(repeat):
            for count in clients:
                for peer in dict.fromkeys(("mtftpd", *chosen)):
                    click.echo(f"{turn + 1}/{repeat} {peer}, {count} clients", err=True)
                    results.append(measure(segment, peer, count, seconds))
    text = table(results)
    click.echo(text)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "dhcp.json").write_text(
            json.dumps([asdict(each) | {"goodput": each.goodput} for each in results], indent=1)
        )
        (out / "dhcp.md").write_text(text)


if __name__ == "__main__":
    main()
