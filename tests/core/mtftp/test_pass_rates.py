"""What is known of the speed of ROMs, and of who wants an image: two tables that only packets fill."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.mtftp import pass_rates
from mtftpd.core.mtftp.audience import MAX_MEMBERS, Audience, chance_of_holes
from mtftpd.core.mtftp.pacing import FASTEST, LARGEST_BURST, SLOW_DOWN, SLOWEST
from mtftpd.core.mtftp.pass_rates import (
    LEAST_BLOCKS,
    LEAST_FACTOR,
    MAX_PROFILES,
    SLOWEST_FACTOR,
    SPARE,
    PassRate,
    PassRates,
    lockstep_interval,
)
from mtftpd.core.mtftp.timing import HASTE

QUICK, SLOW = PassRate("quick", 0.0002, loss=0.01), PassRate("slow", 0.001)


class TestPassRates:
    def test_the_first_sample_of_a_profile_counts_alone_and_the_next_half(self) -> None:
        rates = PassRates()
        rates.answered("rom", 0.001, 1000, 20)
        assert rates.snapshot() == (PassRate("rom", 0.001, SLOW_DOWN, LARGEST_BURST, 0.01),)
        rates.answered("rom", 0.002, 1000, 0)
        assert rates.snapshot() == (PassRate("rom", 0.0015, SLOW_DOWN, LARGEST_BURST, 0.005),)

    def test_a_short_image_is_no_sample(self) -> None:
        rates = PassRates()
        rates.answered("rom", 0.001, LEAST_BLOCKS - 1, 0)
        assert rates.snapshot() == ()

    def test_the_slowest_sets_the_pace_also_for_who_is_not_known(self) -> None:
        rates = PassRates([SLOW, QUICK])
        assert rates.slowest({"quick"}) == QUICK
        assert rates.slowest({"quick", "slow"}) == SLOW
        assert rates.slowest({"quick", "new"}) == SLOW
        assert PassRates().slowest({"quick"}) is None

    def test_the_worst_of_an_audience_is_its_loss(self) -> None:
        rates = PassRates([SLOW, QUICK])
        assert rates.loss({"quick", "slow"}) == QUICK.loss
        assert rates.loss({"new"}) == 0.0

    def test_clean_passes_lead_to_the_answer_time_and_not_below(self) -> None:
        rates = PassRates([QUICK, SLOW])
        for _ in range(20):
            rates.went_well({"quick"})
        (other, quick) = sorted(rates.snapshot(), key=lambda each: each.profile, reverse=True)
        assert (quick.factor, quick.interval, quick.burst) == (1.0, QUICK.answer, LARGEST_BURST)
        assert other == SLOW

    def test_what_pairs_say_counts_where_nothing_was_known(self) -> None:
        rates = PassRates()
        rates.answered("rom", 0.001, 1000, 0, service=0.0007)
        rates.answered("rom", 0.001, 1000, 0, service=0.0001)
        rates.answered("close", 0.001, 1000, 0, service=0.0)
        rates.answered("apart", 0.001, 1000, 0, service=1.0)
        factors = {each.profile: each.factor for each in rates.snapshot()}
        assert factors == {"rom": pytest.approx(0.7 * SPARE), "close": LEAST_FACTOR, "apart": SLOW_DOWN}
        assert rates.knows("rom")
        assert not rates.knows("new")

    def test_clean_passes_do_not_outdo_what_pairs_said(self) -> None:
        rates = PassRates([PassRate("rom", 0.001, factor=0.7)])
        rates.went_well({"rom"})
        assert rates.snapshot()[0].factor == 0.7
        rates.was_too_fast({"rom"})
        assert rates.snapshot()[0].factor == pytest.approx(1.05)
        rates.went_well({"rom"})
        assert rates.snapshot()[0].factor == 1.0

    def test_holes_move_blocks_apart_and_end_bursts(self) -> None:
        rates = PassRates([QUICK])
        rates.was_too_fast({"quick"})
        (rate,) = rates.snapshot()
        assert (rate.factor, rate.burst) == (SLOW_DOWN * 1.5, LARGEST_BURST // 2)
        for _ in range(20):
            rates.was_too_fast({"quick"})
        (rate,) = rates.snapshot()
        assert (rate.factor, rate.burst) == (SLOWEST_FACTOR, 1)

    def test_the_interval_has_limits(self) -> None:
        assert PassRate("", 1e-9).interval == FASTEST
        assert PassRate("", 10.0).interval == SLOWEST

    def test_a_lock_step_block_waits_for_what_is_lost(self) -> None:
        assert lockstep_interval(PassRate("", 0.001)) == 0.001
        assert lockstep_interval(PassRate("", 0.001, loss=0.01)) == pytest.approx(0.00102)
        assert lockstep_interval(PassRate("", 0.0001, loss=0.01)) == pytest.approx(0.0001 + 0.02 * HASTE)

    def test_the_table_is_bounded(self) -> None:
        rates = PassRates()
        for number in range(MAX_PROFILES + 1):
            rates.answered(str(number), 0.001, 1000, 0)
        assert len(rates.snapshot()) == pass_rates.MAX_PROFILES
        rates.restore([QUICK])
        assert len(rates.snapshot()) == pass_rates.MAX_PROFILES

    def test_what_was_learnt_since_counts_more_than_what_was_stored(self) -> None:
        rates = PassRates([QUICK])
        rates.restore([PassRate("quick", 1.0), SLOW])
        assert rates.snapshot() == (QUICK, SLOW)

    @given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.floats(1e-6, 2.0), st.integers(0, 2000))), st.data())
    def test_a_table_that_was_stored_goes_on_as_if_nothing_had_happened(
        self, samples: list[tuple[str, float, int]], data: st.DataObject
    ) -> None:
        cut = data.draw(st.integers(0, len(samples)))
        whole, first = PassRates(), PassRates()
        for profile, answer, repeats in samples:
            whole.answered(profile, answer, 1000, repeats)
        for profile, answer, repeats in samples[:cut]:
            first.answered(profile, answer, 1000, repeats)
        second = PassRates(first.snapshot())
        for profile, answer, repeats in samples[cut:]:
            second.answered(profile, answer, 1000, repeats)
        assert second.snapshot() == whole.snapshot()


class TestAudience:
    def test_only_passes_from_their_beginning_count(self) -> None:
        wants = Audience()
        wants.told("early", "rom", 1.0)
        wants.told("late", "rom", 3.0)
        wants.pass_ended(2.0)
        assert (wants.passes("early"), wants.passes("late"), wants.passes("nobody")) == (1, 0, 0)
        assert wants.profiles() == {"rom"}

    def test_a_node_that_is_told_again_has_begun_again(self) -> None:
        wants = Audience()
        wants.told("node", "rom", 1.0)
        wants.pass_ended(2.0)
        wants.told("node", "ipxe", 3.0)
        assert (wants.profile("node"), wants.passes("node"), wants.profile("other")) == ("ipxe", 0, "")

    def test_who_came_too_late_waits_and_who_asks_after_a_pass_does_at_once(self) -> None:
        wants = Audience()
        wants.opened("late", 10.0)
        assert not wants.waits(11.9, 2.0)
        assert wants.waits(12.0, 2.0)
        wants.pass_began()
        wants.pass_ended(12.0)
        assert not wants.waits(100.0, 2.0)
        wants.opened("late", 13.0)
        assert wants.waits(13.0, 2.0)
        wants.pass_began()
        assert not wants.waits(13.0, 2.0)

    def test_what_loss_lets_expect(self) -> None:
        wants = Audience()
        for number in range(2000):
            wants.told(str(number), "", 0.0)
        assert wants.with_holes(0.01, 8193) == 0
        expected = []
        for _ in range(4):
            wants.pass_ended(1.0)
            expected.append(wants.with_holes(0.01, 8193))
        assert expected[0] == pytest.approx(2000)
        assert expected[1] == pytest.approx(1119, rel=0.01)
        assert expected[2] == pytest.approx(16.3, rel=0.01)
        assert expected[3] == pytest.approx(0.164, rel=0.01)
        assert chance_of_holes(0.0, 8193, 1) == 0

    def test_who_has_heard_a_pass_or_waits_for_too_long_is_no_longer_there(self) -> None:
        wants = Audience()
        for name, since in (("served", 0.0), ("dead", 2.0), ("new", 12.0)):
            wants.told(name, "", since)
        wants.pass_ended(1.0)
        wants.rest(14.0, 10.0)
        assert [wants.gone(name) for name in ("served", "dead", "new")] == [False, False, True]

    def test_gone_is_told_once(self) -> None:
        wants = Audience()
        wants.told("node", "", 0.0)
        assert [wants.gone("node"), wants.gone("node"), len(wants)] == [True, False, 0]

    def test_others_are_all_but_one(self) -> None:
        wants = Audience()
        assert not wants.has_others("one")
        wants.told("one", "", 0.0)
        assert not wants.has_others("one")
        assert wants.has_others("stranger")
        wants.opened("two", 0.0)
        assert wants.has_others("one")

    def test_it_is_bounded(self) -> None:
        wants = Audience()
        for number in range(MAX_MEMBERS + 1):
            wants.opened(str(number), 0.0)
        assert len(wants) == MAX_MEMBERS
        assert not wants.gone("0")
