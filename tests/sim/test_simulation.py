"""Whole simulations: what must hold in every one of them, whatever goes wrong."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from mtftpd.sim.chance import Quality
from mtftpd.sim.outcome import Outcome
from mtftpd.sim.scenario import PowerOn, Scenario
from mtftpd.sim.simulation import Simulation
from tests.sim.scenes import NETWORKS, scene

QUALITIES = st.builds(
    Quality,
    loss=st.sampled_from([0.0, 0.01, 0.1]),
    burst=st.sampled_from([1.0, 5.0]),
)
BAD_QUALITIES = st.builds(
    Quality,
    loss=st.sampled_from([0.0, 0.05]),
    duplicate=st.sampled_from([0.0, 0.05]),
    reorder=st.sampled_from([0.0, 0.05]),
    delay=st.sampled_from([0.0005, 0.05]),
)


def scenes(qualities: st.SearchStrategy[Quality]) -> st.SearchStrategy[Scenario]:
    return st.builds(
        scene,
        nodes=st.integers(1, 14),
        octets=st.sampled_from([1, 511, 512, 20_000, 40_960]),
        network=st.sampled_from(sorted(NETWORKS)),
        quality=qualities,
        roms=st.sampled_from(["spec", "edk1", "spec=50%,edk1=50%"]),
        seed=st.integers(0, 999),
        power_on=st.sampled_from([PowerOn(), PowerOn(spread=3.0), PowerOn(together=3, every=2.5)]),
    )


def check(outcome: Outcome) -> None:
    assert outcome.wrong == 0
    assert all(node.right for node in outcome.nodes if node.booted)
    addresses = [node.address for node in outcome.nodes if node.address != "0.0.0.0"]
    assert len(addresses) == len(set(addresses)), "one address, two nodes"
    assert all(node.booted or node.reason for node in outcome.nodes)
    assert outcome.booted + outcome.lost == len(outcome.nodes)


@settings(max_examples=60)
@given(scenes(QUALITIES))
def test_riding_equals_one_event_per_packet(scenario: Scenario) -> None:
    """The same draws, the same network: only the number of events differs."""
    ridden = Simulation(scenario).run()
    by_packet = Simulation(scenario, by_packet=True).run()
    assert replace(ridden, events=0) == replace(by_packet, events=0)
    check(ridden)


@settings(max_examples=40)
@given(scenes(BAD_QUALITIES))
def test_no_wrong_image_and_no_shared_address_on_a_bad_network(scenario: Scenario) -> None:
    check(Simulation(scenario).run())


@settings(max_examples=5)
@given(scenes(QUALITIES))
def test_the_same_seed_gives_the_same_result(scenario: Scenario) -> None:
    assert Simulation(scenario).run() == Simulation(scenario).run()


def test_a_good_network_needs_one_pass_and_one_packet_per_block() -> None:
    outcome = Simulation(scene(100, 60_000)).run()
    summary = outcome.summary()
    assert (summary["booted"], summary["passes"], summary["repeats"]) == (100, 1, 0)
    assert summary["group_blocks"] == summary["ideal"] == 118
    assert outcome.boot_seconds() is not None


def test_a_ride_saves_events() -> None:
    scenario = scene(60, 200_000)
    assert Simulation(scenario).run().events * 5 < Simulation(scenario, by_packet=True).run().events


def test_slow_roms_lose_what_a_quick_master_makes_the_server_send() -> None:
    outcome = Simulation(scene(30, 60_000, network="two-kinds")).run()
    assert outcome.traffic.dropped_by_rom > 0
    assert outcome.lost == 0


def test_a_hub_collides() -> None:
    outcome = Simulation(scene(20, 20_000, network="hub-100")).run()
    assert outcome.traffic.collisions > 0
    assert outcome.lost == 0


def test_who_is_not_done_in_time_is_lost() -> None:
    outcome = Simulation(replace(scene(3), limit=1.0)).run()
    assert outcome.booted == 0
    assert outcome.failures() == {"not done in time": 3}
    assert outcome.boot_seconds() is None
    assert outcome.summary()["seconds"] is None


def test_progress_is_told_now_and_then() -> None:
    told = []
    simulation = Simulation(scene(50, 1_000_000, quality=Quality(loss=0.05)))
    simulation.run(lambda: told.append(simulation.over))
    assert told
    assert told == sorted(told)


def test_looking_does_not_change_anything() -> None:
    """Neither a witness nor settling in between changes what happens."""
    scenario = scene(20, 60_000, quality=Quality(loss=0.02))
    plain = Simulation(scenario).run()
    watched = Simulation(scenario)
    seen: list[str] = []
    watched.watch("02:4D:54:00:00:03", lambda when, what, source, destination, data: seen.append(what))
    for number in range(1, 200):
        watched.clock.at(number * 0.05, watched.settle)
    outcome = watched.run()
    assert replace(outcome, events=0) == replace(plain, events=0)
    assert {"sent", "received", "lost"} <= set(seen)
