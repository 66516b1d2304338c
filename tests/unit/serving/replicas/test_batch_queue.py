"""Pictures wait in order, all of a request or none, and nobody's place is held for who left."""

import asyncio

import pytest

from pipeline.serving.replicas.batch_queue import Queue
from pipeline.serving.replicas.http_errors import Refusal


def in_loop(test):
    """Run a coroutine as a test."""

    def run():
        asyncio.run(test())

    return run


def raws(batch):
    return [job.raw for job in batch]


@in_loop
async def test_batches_are_full_where_they_can_be_and_in_order():
    queue = Queue(10, 10.0, batch_size=3)
    queue.put([b"1", b"2"], "predict")
    queue.put([b"3", b"4"], "predict")
    assert raws(await queue.next_batch(1)) == [b"1", b"2", b"3"]
    assert raws(await queue.next_batch(1)) == [b"4"]
    assert await queue.next_batch(0.01) is None
    queue.close()
    assert await queue.next_batch(1) == []


@in_loop
async def test_explanations_go_alone_in_their_place():
    queue = Queue(10, 10.0, batch_size=3)
    for raw, kind in ((b"1", "predict"), (b"2", "explain"), (b"3", "predict"), (b"4", "predict")):
        queue.put([raw], kind)
    batches = [raws(await queue.next_batch(1)) for _ in range(3)]
    assert batches == [[b"1"], [b"2"], [b"3", b"4"]]


@in_loop
async def test_a_request_waits_whole_or_is_refused_whole():
    queue = Queue(3, 10.0, batch_size=3)
    queue.put([b"1", b"2"], "predict")
    with pytest.raises(Refusal, match="queue_full: 2 items wait, and 3 may") as refused:
        queue.put([b"3", b"4"], "predict")
    assert (refused.value.status, refused.value.headers) == (429, {"retry-after": "1"})
    queue.measure(10, seconds=20.0)
    with pytest.raises(Refusal) as refused:
        queue.put([b"3", b"4"], "predict")
    assert refused.value.headers == {"retry-after": "4"}, "two pictures at one in two seconds"
    assert raws(await queue.next_batch(1)) == [b"1", b"2"]


@in_loop
async def test_what_would_be_too_late_is_refused_at_once():
    queue = Queue(100, 10.0, batch_size=3)
    queue.measure(1, seconds=2.0)
    queue.put([b"first"] * 30, "predict")  # nothing waits: it is how the speed is measured anew
    with pytest.raises(Refusal, match="queue_full: 30 items wait, and take too") as refused:
        queue.put([b"1"], "predict")
    assert refused.value.headers == {"retry-after": "60"}
    queue.speed = 3.1
    queue.put([b"1"], "predict")


@in_loop
async def test_who_left_holds_no_place():
    queue = Queue(3, 10.0, batch_size=3)
    first = queue.put([b"1", b"2", b"3"], "predict")
    for job in first[:2]:
        job.answer.cancel()
    queue.put([b"4", b"5"], "predict")
    assert raws(await queue.next_batch(1)) == [b"3", b"4", b"5"]
    (gone,) = queue.put([b"6"], "predict")
    gone.answer.cancel()
    assert await queue.next_batch(0.01) is None


@in_loop
async def test_what_a_process_died_with_comes_first_each_alone():
    queue = Queue(9, 10.0, batch_size=3)
    queue.put([b"1", b"2"], "predict")
    died = await queue.next_batch(1)
    queue.put([b"3"], "predict")
    queue.put_back(died)
    assert [raws(await queue.next_batch(1)) for _ in range(3)] == [[b"1"], [b"2"], [b"3"]]


def test_the_speed_follows_what_is_measured():
    queue = Queue(9, 10.0, batch_size=3)
    queue.measure(10, seconds=1.0)
    assert queue.speed == 10
    queue.measure(20, seconds=1.0)
    assert queue.speed == pytest.approx(12)
    assert (queue.delay_s(24), queue.delay_s(25), queue.delay_s(0)) == (2, 3, 1)
