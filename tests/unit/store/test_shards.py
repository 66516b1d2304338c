"""Shards: which rows share a file follows from their keys; rows come back as they were written."""

import os
import resource
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from pipeline.ground.errors import IntegrityError, MachineError
from pipeline.store import shard_writer
from pipeline.store.shard_writer import Reusable, check_room, pieces, write_shard, write_shards
from pipeline.store.shards import Layout, Shards, shard_sizes

PLAIN = Layout("plain", (3,), np.dtype(np.float32), "mend it")
PARTED = Layout("parted", (2, 5), np.dtype(np.uint8), "mend it")


def keys_of(count, prefix="k"):
    return [f"{prefix}{number:05d}" for number in range(count)]


def row_of(key, layout):
    generator = np.random.default_rng(sum(key.encode()) + len(layout.name))
    return generator.integers(0, 256, layout.shape).astype(layout.dtype)


def write(folder, keys, mean_rows=4, old=None, computed=None):
    """Write both arrays of some keys; give them opened."""
    folder.mkdir()
    reused = old or Reusable.none()

    def fresh():
        for key in keys:
            if key not in reused:
                if computed is not None:
                    computed.append(key)
                yield [row_of(key, PLAIN), row_of(key, PARTED)]

    parts = list(pieces(keys, shard_sizes(keys, mean_rows)))
    files = write_shards(folder, [PLAIN, PARTED], parts, fresh=fresh(), old=reused)
    return [
        Shards.open(folder, layout, each)
        for layout, each in zip([PLAIN, PARTED], files, strict=True)
    ]


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_room_is_needed_for_two_copies(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    check_room(tmp_path / "not" / "there", free // 4, remedy="")
    told = r"out: needs 2,000,000,000,000 MB with DVC's copy, .* MB are free \(free space, or buy"
    with pytest.raises(MachineError, match=told):
        check_room(tmp_path / "out", 10**18, remedy="or buy a disk")


def test_rows_are_read_in_any_order_and_may_repeat(tmp_path):
    keys = keys_of(40)
    plain, parted = write(tmp_path / "a", keys)
    assert plain.shape == (40, 3)
    rows = np.array([39, 0, 7, 7, 21])
    assert np.array_equal(plain[rows], np.stack([row_of(keys[row], PLAIN) for row in rows]))
    assert plain.read(rows).dtype == np.float32
    parts = np.array([1, 0, 1, 0, 1])
    wanted = [row_of(keys[row], PARTED)[part] for row, part in zip(rows, parts, strict=True)]
    assert np.array_equal(parted.read_parts(rows, parts), np.stack(wanted))
    assert plain.read(np.array([], dtype=np.int64)).shape == (0, 3)


@pytest.fixture(params=[1024, None])
def most_files(request, monkeypatch):
    """Give the number of files that an array may open, by what the process may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if request.param is None:  # few systems have it
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        monkeypatch.setattr(resource, "getrlimit", lambda _: unlimited)
        yield 256
    else:
        # Of these the process may have many open from other tests.
        limit = max(request.param, 2 * len(list(Path("/proc/self/fd").iterdir())))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        yield limit // 4
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_few_files_are_open_at_once(tmp_path, most_files):
    keys = keys_of(2 * most_files)
    plain, _ = write(tmp_path / "a", keys, mean_rows=1)
    rows = np.random.default_rng(0).permutation(len(keys))
    for _ in range(2):
        for each in (rows, rows[::-1]):
            wanted = np.stack([row_of(keys[row], PLAIN) for row in each])
            assert np.array_equal(plain.read(each), wanted)
    held = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
    assert sum(each.startswith(str(tmp_path)) for each in held) == most_files < len(plain.files)


@pytest.mark.parametrize("rows", [[40], [-1]], ids=str)
def test_rows_and_parts_that_do_not_exist_are_refused(tmp_path, rows):
    plain, parted = write(tmp_path / "a", keys_of(40))
    with pytest.raises(IndexError, match=r"rows must lie in 0\.\.39"):
        plain.read(np.array(rows))
    with pytest.raises(IndexError, match=r"parts must lie in 0\.\.1"):
        parted.read_parts(np.array([0]), np.array([2]))


def test_files_are_plain_numpy_arrays(tmp_path):
    plain, _ = write(tmp_path / "a", keys_of(40))
    loaded = [np.load(tmp_path / "a" / each["file"]) for each in plain.files]
    assert np.array_equal(np.concatenate(loaded), plain.read(np.arange(40)))


@pytest.mark.parametrize("mean_rows", [1, 2, 8, 32])
def test_sizes_lie_in_bounds_and_near_their_mean(mean_rows):
    sizes = shard_sizes(keys_of(4000), mean_rows)
    assert sum(sizes) == 4000
    assert max(sizes) <= 4 * mean_rows
    assert min(sizes[:-1]) >= max(1, mean_rows // 4)
    assert 0.7 * mean_rows <= np.mean(sizes) <= 1.4 * mean_rows


def test_one_key_more_moves_the_borders_beside_it_and_no_others():
    keys = keys_of(4000)
    grown = sorted([*keys, "k02000x"])
    before = set(np.cumsum(shard_sizes(keys, 16)))
    after = {end if end <= 2001 else end - 1 for end in np.cumsum(shard_sizes(grown, 16))}
    assert len(before ^ after) <= 4
    assert len(before) > 200


def test_what_an_earlier_build_holds_is_not_computed_and_the_bytes_are_the_same(tmp_path):
    keys = keys_of(60)
    old = write(tmp_path / "old", keys[:50])
    computed = []
    edited = [key for key in keys if key not in ("k00003", "k00031", "k00032")]
    write(tmp_path / "new", edited, old=Reusable(old, keys[:50]), computed=computed)
    assert computed == keys[50:]
    write(tmp_path / "scratch", edited)
    assert contents(tmp_path / "new") == contents(tmp_path / "scratch")


def test_rows_of_a_damaged_file_are_computed_anew(tmp_path, caplog):
    keys = keys_of(60)
    old = write(tmp_path / "old", keys)
    damaged = tmp_path / "old" / old[1].files[2]["file"]
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    reusable = Reusable(old, keys)
    reusable.keep_sound(keys)
    computed = []
    write(tmp_path / "new", keys, old=reusable, computed=computed)
    end = int(old[0].ends[2])
    assert computed == keys[end - old[0].files[2]["rows"] : end]
    assert "of the last build is damaged" in caplog.text
    write(tmp_path / "scratch", keys)
    assert contents(tmp_path / "new") == contents(tmp_path / "scratch")


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_file_is_compared_with_its_sum_when_it_is_first_read_and_no_other_is(tmp_path):
    plain, _ = write(tmp_path / "a", keys_of(20))
    flip(tmp_path / "a" / plain.files[1]["file"])
    first = np.arange(plain.files[0]["rows"])
    assert np.array_equal(plain[first], np.stack([row_of(f"k{row:05d}", PLAIN) for row in first]))
    for _ in range(2):  # what was found damaged stays so
        with pytest.raises(
            IntegrityError, match=r"plain-00001\.npy: its values were changed .mend"
        ):
            plain.read(np.array([len(first)]))
    flip(tmp_path / "a" / plain.files[0]["file"])
    assert len(plain[first]), "what was compared is not compared again"


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is truncated"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "has bytes after its last row"),
        (lambda path: np.save(path, np.zeros((4, 3))), "does not hold float32 of shape"),
        (lambda path: path.write_bytes(b""), "is truncated or damaged"),
    ],
    ids=["missing", "cut", "long", "other", "empty"],
)
def test_damage_is_told_on_reading(tmp_path, damage, text):
    plain, _ = write(tmp_path / "a", keys_of(20))
    damage(tmp_path / "a" / plain.files[0]["file"])
    with pytest.raises(IntegrityError, match=text):
        plain.read(np.array([0]))


@pytest.mark.parametrize("part_bytes", [2, 25, 1 << 20])
def test_old_rows_are_copied_some_at_a_time_to_the_same_bytes(tmp_path, monkeypatch, part_bytes):
    keys = keys_of(40)
    old = Reusable(write(tmp_path / "old", keys), keys)
    edited = sorted([*keys[:11], *keys[14:], "k00003x", "k00020x", "k00021x"])
    edited = [*edited[25:], *edited[:25]]  # some shards of old rows alone, in another order
    monkeypatch.setattr(shard_writer, "_PART_BYTES", part_bytes)
    computed = []
    write(tmp_path / "new", edited, old=old, computed=computed)
    assert sorted(computed) == ["k00003x", "k00020x", "k00021x"]
    write(tmp_path / "anew", edited)
    assert contents(tmp_path / "new") == contents(tmp_path / "anew")


def test_a_row_that_was_never_computed_is_no_shorter_shard(tmp_path):
    with pytest.raises(RuntimeError):
        write_shards(
            tmp_path, [PLAIN], [["a", "b"]], old=Reusable.none(), fresh=iter([[row_of("a", PLAIN)]])
        )


@pytest.mark.parametrize("is_killed", [False, True], ids=["goes on", "is killed"])
def test_a_writer_that_wakes_late_does_not_tear_what_another_one_made(tmp_path, is_killed):
    """One attempt at a shard stops halfway, another one makes it, the first one goes on."""
    keys, name = keys_of(8), PLAIN.file(0)
    for folder in ("wanted", "shared"):
        (tmp_path / folder).mkdir()

    def attempt(folder, at_half=lambda: None):
        def rows():
            for number, key in enumerate(keys):
                if number == 4:
                    at_half()
                yield [row_of(key, PLAIN)]

        return write_shard(tmp_path / folder, [PLAIN], 0, rows(), count=8)

    (sha256,) = attempt("wanted")
    wanted = contents(tmp_path / "wanted")

    def another():
        assert attempt("shared") == [sha256]
        assert (tmp_path / "shared" / name).read_bytes() == wanted[name]
        (tmp_path / "shared" / f".part-{name}-0").write_bytes(b"left by one that was killed")
        if is_killed:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) if is_killed else nullcontext():
        attempt("shared", another)
    shard_writer.sweep_attempts(tmp_path / "shared")
    assert contents(tmp_path / "shared") == wanted
