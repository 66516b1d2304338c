"""What was seen of a file is known again by its bytes, and nothing else of it is taken over."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.clean import probe_all as module
from pipeline.clean.kept_probes import KeptProbes
from pipeline.clean.probe_all import probe_all
from pipeline.clean.probe_cache import known_probes, made_from, read_probes, write_probes
from pipeline.clean.probe_item import probe_item
from pipeline.compute.engine import MachineParams
from pipeline.modality.types.probe import Probe
from pipeline.picture.read.probe import Limits
from pipeline.store.spill import Spill
from tests.support.rawfolder import clean_params, save_picture

LIMITS = Limits(max_pixels=10_000, animated="first")
ONE = MachineParams.alone(workers=1, progress="none")


@pytest.fixture
def raw(tmp_path):
    """A folder with pictures, one of them misnamed, a broken file and no picture."""
    for number in range(4):
        save_picture(tmp_path / f"raw/{number}.png", number)
    Image.new("RGB", (9, 9), (1, 2, 3)).save(tmp_path / "raw/flat.jpg", "PNG")
    (tmp_path / "raw/text.png").write_text("hello")
    content = (tmp_path / "raw/0.png").read_bytes()
    (tmp_path / "raw/cut.png").write_bytes(content[: len(content) // 2])
    return tmp_path / "raw"


def names(raw):
    return sorted(path.name for path in raw.iterdir())


def fresh(raw):
    return list(probe_all(raw, names(raw), LIMITS, ONE))


def test_probes_are_read_back_as_they_were(tmp_path, raw):
    seen = fresh(raw)
    write_probes(tmp_path / "probes", seen, "picture")
    known = read_probes(tmp_path / "probes", "picture")
    assert len(known) == 7
    for name, each in zip(names(raw), seen, strict=True):
        wanted = known[each.id]
        assert LIMITS.named(wanted, name) == each
    assert known[probe_item(raw, LIMITS, "flat.jpg").id].notes == ("constant",)


def test_only_what_is_new_is_decoded_and_all_comes_out_the_same(tmp_path, raw, monkeypatch):
    write_probes(tmp_path / "probes", fresh(raw), "picture")
    known = read_probes(tmp_path / "probes", "picture")
    save_picture(raw / "9.png", 9)
    (raw / "flat.jpg").rename(raw / "flat.png")
    (raw / "2.png").unlink()
    wanted = fresh(raw)
    assert dict(zip(names(raw), wanted, strict=True))["flat.png"].notes == ("constant",)
    decoded = []
    real = module._probe_new
    monkeypatch.setattr(
        module,
        "_probe_new",
        lambda raw, paths, *rest: decoded.extend(paths) or real(raw, paths, *rest),
    )
    assert list(probe_all(raw, names(raw), LIMITS, ONE, known=known)) == wanted
    assert decoded == ["9.png"]


def test_the_bytes_of_the_table_follow_from_the_files_alone(tmp_path, raw):
    seen = fresh(raw)
    write_probes(tmp_path / "one", seen, "picture")
    write_probes(tmp_path / "two", [*reversed(seen), seen[0]], "picture")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("reason", ["decoder_crashed", "decoder_hung"])
def test_what_another_moment_might_not_give_is_not_kept(tmp_path, reason):
    write_probes(tmp_path / "probes", [Probe("a" * 64, reason=reason), Probe()], "picture")
    assert read_probes(tmp_path / "probes", "picture") == {}


def test_a_damaged_table_costs_time_and_nothing_else(tmp_path, caplog):
    (tmp_path / "probes").write_bytes(b"x")
    assert known_probes(tmp_path / "probes", "picture").probes == {}
    assert "the last build cannot be used" in caplog.text
    assert known_probes(None, "picture").probes == {}


def test_thumbnails_on_disk_are_those_in_memory(tmp_path, raw):
    write_probes(tmp_path / "probes", fresh(raw), "picture")
    before = sorted(tmp_path.iterdir())
    with Spill(tmp_path) as spill:
        known = read_probes(tmp_path / "probes", "picture", spill)
        again = read_probes(tmp_path / "probes", "picture", spill)
        pieces = [each.sketch for each in known.values() if each.sketch is not None]
        laid = spill.lay(pieces, (32, 32))
        with pytest.raises(TypeError):
            pieces[0][0] = 1
        assert sorted(tmp_path.iterdir()) == before
    assert known == again == read_probes(tmp_path / "probes", "picture")
    assert laid.tobytes() == b"".join(pieces)
    assert all(isinstance(each, memoryview) for each in pieces)


def test_probes_on_disk_are_those_that_were_kept(tmp_path, raw, monkeypatch):
    monkeypatch.setattr("pipeline.clean.kept_probes.ROWS_AT_ONCE", 3)
    seen = [*fresh(raw), Probe(), Probe("f" * 64, reason="not_image", detail="a\u0301")]
    with Spill(tmp_path) as spill:
        kept = KeptProbes.keep(iter(seen), "picture", spill)
    assert list(kept) == [kept[at] for at in range(len(seen))] == seen
    assert sorted(each.name for each in tmp_path.iterdir()) == ["raw"]
    has_id = [at for at, each in enumerate(seen) if each.id]
    assert list(kept.sorted_by_id()) == sorted(has_id, key=lambda at: seen[at].id)
    assert list(kept.faults()) == [
        (at, each.reason, each.detail) for at, each in enumerate(seen) if each.reason
    ]
    places = np.array([4, -1, 0])
    assert kept.column("id", places).to_pylist() == [seen[4].id, None, seen[0].id]
    assert kept.sketches([3, 0])[1] == seen[0].sketch


def test_pieces_larger_than_a_part_and_many_small_ones_are_all_there(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.store.spill._PART_BYTES", 1 << 14)
    wanted = [bytes([number % 251]) * size for number in range(300) for size in (1, 1000)]
    wanted.insert(7, b"x" * 50_000)
    with Spill(tmp_path) as spill:
        kept = [spill.keep(each) for each in wanted]
        assert spill.lay([], (2, 2)).shape == (0, 2, 2)
    assert [bytes(each) for each in kept] == wanted


def test_the_key_changes_with_the_limits():
    assert made_from("picture", clean_params()) != made_from("picture", clean_params(max_pixels=9))
    assert made_from("picture", clean_params()) == made_from("picture", clean_params())


def test_the_thumbnail_is_kept(tmp_path, raw):
    write_probes(tmp_path / "probes", fresh(raw), "picture")
    known = read_probes(Path(tmp_path / "probes"), "picture")
    kept = [each.sketch for each in known.values() if each.reason is None]
    assert all(len(each) == 1024 for each in kept)
    assert len({np.frombuffer(each, np.uint8).sum() for each in kept}) > 1
