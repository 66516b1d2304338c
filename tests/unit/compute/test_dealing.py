"""Every item gets one result, in order, though machines lose work, come late or find it hung."""

import random

import pytest

from pipeline.compute.dealing import FIT, Dealing, Grain
from pipeline.compute.pool import Lost

HUNG = Lost("hung", "no answer within 1 s")


def play(deal, count, act):
    """Deal until all is done; `act` answers, loses or keeps each attempt. Return the results."""
    found, now, kept = [], 0.0, []
    for _ in range(10_000):
        if deal.is_done:
            return found
        now += 1.0
        kept += deal.deal(now)
        kept = [each for each in kept if not act(deal, each, now)]
        deal.find_late(now)
        found += deal.take()
    raise AssertionError(f"{len(found)} of {count} results")


def answer(deal, attempt, now):
    deal.answer(attempt, [number * 2 for number in attempt.numbers], now)
    return True


def dealing(count=500, most=16, grain=None, **slots):
    deal = Dealing(count, grain or Grain(most))
    for node, each in (slots or {"a": 2, "b": 1}).items():
        deal.join(node, each)
    return deal


def test_results_come_once_and_in_order_from_machines_that_answer_in_any():
    dice = random.Random(1)

    def act(deal, attempt, now):
        return dice.random() < 0.3 and answer(deal, attempt, now)

    assert play(dealing(), 500, act) == [number * 2 for number in range(500)]


def test_what_is_sent_ahead_is_bounded_and_shared_by_the_number_of_processes():
    deal = dealing(100_000, a=2, b=1)
    sent = list(deal.deal(0.0))
    assert [sum(each.node == node for each in sent) for node in "ab"] == [6, 3]
    assert not list(deal.deal(1.0))


def test_the_work_of_a_machine_that_left_is_done_by_the_other():
    deal = dealing(a=1, b=1)
    sent = list(deal.deal(0.0))
    stuck = [each for each in sent if each.node == "b"]
    deal.leave("b", "gone")
    for each in sent:
        assert each in stuck or answer(deal, each, 1.0)
    assert play(deal, 500, answer) == [number * 2 for number in range(500)]
    deal.answer(stuck[0], [-1] * len(stuck[0].numbers), 1.0)  # it woke up; nobody listens
    assert not deal.results


def test_a_frozen_machine_is_late_once_and_another_does_its_work():
    deal = dealing(a=1, b=1)
    found = play(deal, 500, lambda *each: each[1].node == "a" and answer(*each))
    assert found == [number * 2 for number in range(500)]
    told = list(deal.tell({"b": "10.0.0.2"}))
    assert told
    assert all(each.startswith("machine 10.0.0.2 is late with 16 items") for each in told)


def test_a_fit_waits_for_a_free_machine_and_is_never_at_two():
    deal = dealing(5, grain=FIT, a=1, b=1)
    sent = list(deal.deal(0.0))
    assert [(each.numbers, each.node) for each in sent] == [((0,), "a"), ((1,), "b")]
    deal.find_late(1e9)
    assert not list(deal.deal(1e9))
    answer(deal, sent[1], 1e9)
    assert [(each.numbers, each.node) for each in deal.deal(1e9)] == [((2,), "b")]


def test_an_item_that_kills_its_process_everywhere_is_lost_alone():
    def act(deal, attempt, now):
        if 77 in attempt.numbers:
            deal.lose(attempt, "worker died")
            return True
        return answer(deal, attempt, now)

    deal = dealing(a=1, b=1, c=1)
    found = play(deal, 500, act)
    assert found[77] == Lost("crashed", "worker died, 3 times")
    assert [each for each in found if isinstance(each, int)] == [
        number * 2 for number in range(500) if number != 77
    ]
    assert list(deal.tell({})) == [
        "items 65 to 80 were lost 3 times (worker died); they are tried one by one"
    ]


@pytest.mark.parametrize("second", [HUNG, 14])
def test_another_machine_has_the_last_word_on_what_hung(second):
    judges = []

    def act(deal, attempt, now):
        results = [number * 2 for number in attempt.numbers]
        if 7 in attempt.numbers:
            judges.append(attempt.node)
            results[attempt.numbers.index(7)] = second if len(judges) > 1 else HUNG
        deal.answer(attempt, results, now)
        return True

    found = play(dealing(40, 4, a=1, b=1), 40, act)
    assert found[7] == second
    assert len(judges) == 2
    assert len(set(judges)) == 2


def test_with_one_machine_its_word_counts():
    def act(deal, attempt, now):
        deal.answer(attempt, [HUNG] * len(attempt.numbers), now)
        return True

    assert play(dealing(8, 4, a=1), 8, act) == [HUNG] * 8
