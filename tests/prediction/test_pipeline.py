from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imaging_samples import encode
from prediction_samples import SPEC, answers_of, array_item, image_item
from tiny_models import build_card

from toolkit.environment import usable_cores
from toolkit.errors import HelperStartError, ModelError
from toolkit.prediction.pipeline import decoder_pool, pipeline
from toolkit.prediction.pipeline.blocks import AnsweredBlock, Block, join_blocks
from toolkit.prediction.pipeline.decoder_pool import DecoderPool
from toolkit.prediction.pipeline.pipeline import Pipeline
from toolkit.prediction.pipeline.predictor import Predictor
from toolkit.prediction.pipeline.prepare_items import Preparation, prepare_items
from toolkit.prediction.sources.items import ImageItem, Item
from toolkit.runtimes.workers import helper

PREPARATION = Preparation(spec=SPEC)


def png(value: int) -> bytes:
    image = np.zeros((8, 8), np.uint8)
    image[0, 0] = value
    return encode(image)


def brightness(block: Block) -> AnsweredBlock:
    """Answers whose margin is the first pixel's value."""
    answers = answers_of([0] * block.num_rows)
    answers.margin[block.places] = block.images[:, 0, 0]
    answers.labels[sorted(set(range(block.num_rows)) - set(block.places.tolist()))] = -1
    return answers


def test_answers_come_in_the_order_of_the_jobs() -> None:
    jobs: list[list[Item]] = [[array_item(3, start=3 * number)] for number in range(20)]
    with Pipeline(brightness, PREPARATION, processes=0) as line:
        values = [value for _, answers in line.run(jobs) for value in answers.margin.tolist()]
    assert values == list(range(60))


@pytest.mark.parametrize("runs_at_once", [1, 2])
def test_closing_waits_for_the_picture_under_way_and_for_no_other(
    runs_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def decode(item: ImageItem) -> None:
        decoded.append(item.source)
        begun.set()
        assert go_on.wait(10)

    def prepare(items: Sequence[ImageItem], _: Preparation, *, before: Callable[[], object]) -> None:
        for item in items:
            before()
            decode(item)

    monkeypatch.setattr(pipeline, "prepare_items", prepare)
    line = Pipeline(brightness, PREPARATION, processes=0, runs_at_once=runs_at_once)
    line._submit([image_item(name, png(1)) for name in ("first", "second", "third")])
    assert begun.wait(10)
    closing = threading.Thread(target=line.close)
    closing.start()
    while not line._is_closed.is_set():
        time.sleep(0.001)
    go_on.set()
    closing.join(10)
    assert decoded == ["first"]


def test_few_jobs_are_taken_ahead() -> None:
    taken: list[int] = []

    def jobs() -> Iterator[Sequence[Item]]:
        for number in range(1000):
            taken.append(number)
            yield [array_item(1, start=number)]

    with Pipeline(brightness, PREPARATION, processes=0) as line:
        most = 0
        for done, _ in enumerate(line.run(jobs())):
            most = max(most, len(taken) - done)
            if done > 100:
                break
    assert most <= pipeline.SPARE_BLOCKS + 2


def test_a_model_that_fails_ends_the_pipeline_with_its_error() -> None:
    def fail(block: Block) -> AnsweredBlock:
        raise ModelError(f"broken at {block.indices[0]}")

    with Pipeline(fail, PREPARATION, processes=0) as line, pytest.raises(ModelError, match="broken at 0"):
        list(line.run([[array_item(2)], [array_item(2)]]))


def test_starved_models_get_decoder_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where decoding is what takes the time, it moves into processes, and nothing changes but the speed."""
    monkeypatch.setattr(pipeline, "PATIENCE_S", 0.0)
    monkeypatch.setattr(pipeline, "STARVING_SHARE", 0.0)
    jobs: list[list[Item]] = [[image_item(f"{number}.png", png(number))] for number in range(40)]
    with Pipeline(brightness, PREPARATION, processes=2) as line:
        values = [value for _, answers in line.run(jobs) for value in answers.margin.tolist()]
        assert line.num_processes == 2
    assert values == list(range(40))


def test_arrays_need_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "PATIENCE_S", 0.0)
    monkeypatch.setattr(pipeline, "STARVING_SHARE", 0.0)
    with Pipeline(brightness, PREPARATION, processes=2) as line:
        list(line.run([[array_item(8)] for _ in range(50)]))
        assert line.num_processes == 0


@pytest.mark.parametrize(("waits_s", "after_s", "is_severe"), [(0.5, 0.7, False), (0.5, 0.9, True), (0.2, 0.9, False)])
def test_hunger_is_much_waiting_over_some_time(
    monkeypatch: pytest.MonkeyPatch, waits_s: float, after_s: float, is_severe: bool
) -> None:
    """Of two consumers one waits for a while; by a clock of the test's own, for the machine's may stall."""
    now = 5.0
    monkeypatch.setattr(pipeline, "time", types.SimpleNamespace(perf_counter=lambda: now))
    starvation = pipeline._Starvation(2)
    with starvation.waiting():
        now += waits_s
    starvation.add(waits_s * 0.4)
    now += after_s - waits_s
    assert starvation.is_severe() == is_severe


def test_closing_in_the_middle_leaves_no_thread_and_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "PATIENCE_S", 0.0)
    monkeypatch.setattr(pipeline, "STARVING_SHARE", 0.0)
    before = threading.active_count()
    with Pipeline(brightness, PREPARATION, processes=2) as line:
        answers = line.run([image_item(f"{number}.png", png(number))] for number in range(10_000))
        for _ in range(20):
            next(answers)
        pool = line._pool
        assert pool is not None
        processes = [helper.process for helper in pool._all]
    assert all(process.poll() is not None for process in processes)
    assert threading.active_count() == before


def test_processes_prepare_as_this_process_does(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(7))
    items: list[Item] = [
        image_item("a.png", str(tmp_path / "a.png")),
        image_item("broken.png", b"no image"),
        array_item(3),
        image_item("gone.png", None),
        image_item("b.png", png(9)),
    ]
    near = prepare_items(items, PREPARATION)
    with DecoderPool(PREPARATION, size=1) as pool:
        far = pool.prepare(items)
    assert (list(near.sources), near.messages) == (list(far.sources), far.messages)
    assert near.messages.keys() == {1, 5}
    for name in ("indices", "images", "places"):
        assert (getattr(near, name) == getattr(far, name)).all()


def deadly_pool(monkeypatch: pytest.MonkeyPatch, death: str) -> DecoderPool:
    """A pool whose processes die of pictures called deadly.png."""
    program = (
        "import os, signal, time; os.write(1, b'alive\\n'); import toolkit.imaging.decode as p; import toolkit.prediction.pipeline.decoder as d\n"
        "real = p.decode_image\n"
        f"p.decode_image = lambda c, name, **how: {death} if name == 'deadly.png' else real(c, name=name, **how)\n"
        "def hurry():\n"
        "    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= d.MOST_SECONDS\n"  # it is timed
        "    signal.setitimer(signal.ITIMER_REAL, 0.1)\n"
        "d.main()"
    )
    start = helper.subprocess.Popen
    monkeypatch.setattr(
        helper.subprocess, "Popen", lambda command, **kwargs: start([sys.executable, "-c", program], **kwargs)
    )
    return DecoderPool(PREPARATION, size=2)


@pytest.mark.parametrize(
    ("death", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed with SIGSEGV"),
        ("(hurry(), time.sleep(600))", "took over 20 s"),
    ],
)
def test_a_picture_that_kills_its_decoder_is_one_row(monkeypatch: pytest.MonkeyPatch, death: str, said: str) -> None:
    items = [image_item(f"{number}.png", png(number)) for number in range(5)]
    items[2] = image_item("deadly.png", png(2))
    with deadly_pool(monkeypatch, death) as pool:
        block = pool.prepare(items)
        assert pool.prepare([items[0]]).places.tolist() == [0]
    assert block.messages == {2: f"deadly.png: its decoder {said}"}
    assert block.places.tolist() == [0, 1, 3, 4]
    assert block.images[:, 0, 0].tolist() == [0, 1, 3, 4]


def test_large_pictures_share_one_room_and_come_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    large = encode(np.full((2300, 2300, 3), 90, np.uint8), "JPEG")  # of 42 MB while it is decoded
    items: list[Item] = [image_item(f"{n}", large if n % 2 else png(n)) for n in range(6)]
    taken: list[int] = []
    monkeypatch.setattr(decoder_pool, "ROOM_BYTES", 1)
    take = decoder_pool._Room.take
    monkeypatch.setattr(decoder_pool._Room, "take", lambda room, size: taken.append(size) or take(room, size))
    with (
        DecoderPool(Preparation(spec=replace(SPEC, fit="stretch", polarity="any")), size=2) as pool,
        ThreadPoolExecutor(2) as threads,
    ):
        blocks = list(threads.map(pool.prepare, [items, items]))
        assert pool._room._free == 1
    assert [block.places.tolist() for block in blocks] == [list(range(6))] * 2
    assert taken == [8 * 2300 * 2300] * 6


def test_a_decoder_that_dies_with_memory_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    large = encode(np.full((2300, 2300, 3), 90, np.uint8), "JPEG")
    death = "(how['reserve'](1 << 30), os.kill(os.getpid(), signal.SIGKILL))"
    monkeypatch.setattr(decoder_pool, "ROOM_BYTES", 1)
    with deadly_pool(monkeypatch, death) as pool:
        block = pool.prepare([image_item("deadly.png", large)])
        assert "SIGKILL" in block.messages[0]
        assert pool._room._free == 1


def test_a_decoder_that_never_answers_is_ended_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_pool, "SLACK_S", 0.1)
    monkeypatch.setattr(decoder_pool, "MOST_SECONDS", 0)
    with deadly_pool(monkeypatch, "(signal.setitimer(signal.ITIMER_REAL, 0), time.sleep(600))") as pool:
        for _ in range(3):
            block = pool.prepare([image_item("deadly.png", png(2))])
            assert block.messages == {0: "deadly.png: its decoder hung for 0.1 s and was ended"}


def test_a_decoder_that_cannot_start_is_no_picture_s_fault_and_ends_every_later_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(helper.sys, "executable", "/bin/false")
    with DecoderPool(PREPARATION, size=1) as pool:
        for _ in range(3):
            with pytest.raises(HelperStartError, match="cannot start: it left with exit code 1"):
                pool.prepare([image_item("a.png", png(1))])
    monkeypatch.setattr(helper.sys, "executable", "/nowhere/python")
    with pytest.raises(HelperStartError, match="cannot start"):
        DecoderPool(PREPARATION, size=1)


def num_open_files() -> int:
    """The open files of this process; 0 where the system does not tell."""
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.exists() else 0


def test_a_dead_decoder_leaves_nothing_open_and_one_that_cannot_be_replaced_ends_every_later_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deadly = image_item("deadly.png", png(2))
    with deadly_pool(monkeypatch, "os.kill(os.getpid(), signal.SIGSEGV)") as pool:
        pool.prepare([deadly])
        before = num_open_files()
        for _ in range(2):
            pool.prepare([deadly])
        assert len(pool._all) == 2
        assert num_open_files() == before

        def refuse() -> tuple[int, int]:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(helper.os, "pipe", refuse)
        for _ in range(3):
            with pytest.raises(HelperStartError, match="Too many open files"):
                pool.prepare([deadly])


@pytest.mark.parametrize("python", ["/bin/false", "silent"])
def test_a_pipeline_whose_decoders_cannot_start_ends_with_their_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    (tmp_path / "silent").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "silent").chmod(0o755)
    monkeypatch.setattr(helper.sys, "executable", str(tmp_path / python))  # joined to an absolute path: that path
    monkeypatch.setattr(helper, "SIGN_S", 0.3)
    monkeypatch.setattr(pipeline, "PATIENCE_S", 0.0)
    monkeypatch.setattr(pipeline, "STARVING_SHARE", 0.0)
    before = threading.active_count()
    with Pipeline(brightness, PREPARATION, processes=2) as line, pytest.raises(HelperStartError, match="cannot start"):
        for _ in line.run([image_item(f"{number}.png", png(number))] for number in range(200)):
            pass
    assert threading.active_count() == before


def test_decoders_end_when_their_input_does_and_ignore_ctrl_c() -> None:
    with DecoderPool(PREPARATION, size=1) as pool:
        pool.prepare([image_item("a.png", png(1))])
        (decoder,) = pool._all
        os.kill(decoder.process.pid, signal.SIGINT)
        assert pool.prepare([image_item("a.png", png(1))]).num_rows == 1
        decoder.requests.close()
        assert decoder.process.wait() == 0


def test_joined_blocks_keep_places_and_messages() -> None:
    parts = [prepare_items([item], PREPARATION) for item in (array_item(2), image_item("x", None), array_item(1))]
    whole = join_blocks(parts)
    assert whole.num_rows == 4
    assert whole.places.tolist() == [0, 1, 3]
    assert whole.messages == {2: "broken"}
    assert list(whole.sources) == ["a.npy", "a.npy", "x", "a.npy"]


def test_items_without_rows_give_an_empty_block() -> None:
    block = prepare_items([array_item(0)], PREPARATION)
    assert (block.num_rows, len(block.images)) == (0, 0)


def values_of(block: Block) -> list[Any]:
    return block.images[:, 0, 0].tolist()


def test_values_that_are_no_pixels_are_reasons_with_their_index() -> None:
    item = array_item(3)
    floats = item.images.astype(np.float64)
    floats[1, 2, 2] = np.nan
    floats[0, 3, 3] = 200
    floats[2, 3, 3] = 200
    block = prepare_items([type(item)("f.npy", 5, floats)], PREPARATION)
    assert block.indices.tolist() == [5, 6, 7]
    assert block.places.tolist() == [0, 2]
    assert "nan at row 2" in block.messages[1]


def test_a_bad_item_stands_where_it_was() -> None:
    items: list[Item] = [ImageItem("b", 4, None, "gone"), image_item("a.png", png(3))]
    block = prepare_items(items, PREPARATION)
    assert (block.indices.tolist(), block.places.tolist(), values_of(block)) == ([4, 0], [1], [3])
    assert block.messages == {0: "gone"}


def test_a_model_that_runs_several_times_at_once_is_given_several_blocks() -> None:
    barrier = threading.Barrier(3, timeout=600)

    def together(block: Block) -> AnsweredBlock:
        barrier.wait()
        return brightness(block)

    jobs: list[list[Item]] = [[image_item(f"{number}.png", png(number))] for number in range(30)]
    with Pipeline(together, PREPARATION, processes=0, runs_at_once=3) as line:
        values = [value for _, answers in line.run(jobs) for value in answers.margin.tolist()]
    assert values == list(range(30))


def test_threads_that_wait_for_pictures_get_decoder_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "PATIENCE_S", 0.05)
    prepare = pipeline.prepare_items

    def slow(*arguments: Any, **more: Any) -> Block:
        time.sleep(0.02)  # a slow disk
        return prepare(*arguments, **more)

    monkeypatch.setattr(pipeline, "prepare_items", slow)
    jobs: list[list[Item]] = [[image_item(f"{number}.png", png(number % 250))] for number in range(60)]
    with Pipeline(brightness, PREPARATION, processes=1, runs_at_once=2) as line:
        values = [value for _, answers in line.run(jobs) for value in answers.margin.tolist()]
        assert line.num_processes == 1
    assert values == [number % 250 for number in range(60)]


def test_engines_that_are_not_reentrant_are_run_by_one_thread_at_a_time() -> None:
    inside, most = 0, 0

    class Runner:
        def run(self, feeds: Any) -> dict[str, np.ndarray]:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            time.sleep(0.002)
            inside -= 1
            count = len(feeds["images"])
            return {
                "logits": np.zeros((count, 2), np.float32),
                "probabilities": np.full((count, 2), 0.5, np.float32),
                "label": np.zeros(count, np.int64),
            }

    engine = Predictor(Runner(), build_card(classes=("a", "b")), batch=2, provider="cpu")
    with Pipeline(engine.answer, PREPARATION, processes=0) as line:
        assert sum(block.num_rows for block, _ in line.run([[array_item(2)] for _ in range(20)])) == 40
    assert most == 1


def test_a_containers_quota_counts(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    cores = usable_cores(quota)
    assert cores >= 1
    for text, expected in (("max 100000", cores), ("50000 100000", 1), ("10000000000 100000", cores), ("", cores)):
        quota.write_text(text)
        assert usable_cores(quota) == expected
