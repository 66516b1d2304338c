"""Tensors come back exactly as they were saved, in equal bytes, or not at all."""

import json

import pytest
import torch
from safetensors.torch import save_file

from pipeline.ground.errors import DataError, IntegrityError
from pipeline.weights.tensors import load_tensors, save_tensors

META = {"architecture": "resnet10t", "numbers": [1, 0.1, None], "text": "a\u00e9\n"}


def some_tensors():
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(2, 3, 4, 5, generator=generator),
        "half": torch.randn(7, generator=generator).bfloat16(),
        "count": torch.tensor(3),
        "mask": torch.tensor([True, False]),
        "empty": torch.zeros(0, 4),
    }


def test_round_trip_is_exact(tmp_path):
    tensors = some_tensors()
    save_tensors(tmp_path / "a.safetensors", tensors, META)
    loaded, meta = load_tensors(tmp_path / "a.safetensors")
    assert meta == META
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor), name


def test_equal_content_gives_equal_bytes_whatever_order_layout_and_sharing(tmp_path):
    tensors = some_tensors()
    save_tensors(tmp_path / "a", tensors, META)
    other = dict(reversed(tensors.items()))
    other["weight"] = tensors["weight"].to(memory_format=torch.channels_last)
    save_tensors(tmp_path / "b", other, dict(reversed(META.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    tied = torch.ones(3)
    save_tensors(tmp_path / "c", {"a": tied, "b": tied}, {})
    save_tensors(tmp_path / "d", {"a": torch.ones(3), "b": torch.ones(3)}, {})
    assert (tmp_path / "c").read_bytes() == (tmp_path / "d").read_bytes()


def test_metadata_stand_under_one_key_since_more_are_written_in_random_order(tmp_path):
    save_tensors(tmp_path / "a", some_tensors(), META)
    raw = (tmp_path / "a").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert list(header["__metadata__"]) == ["rootstock"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.ones(2)}, {})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_tensors(path, {"x": torch.zeros(2)}, {"loss": float("nan")})
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.safetensors"]


def test_any_cut_is_told_with_both_sizes(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.arange(64.0)}, META)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(IntegrityError, match=r"truncated|not a readable"):
            load_tensors(path)
    path.write_bytes(whole[:-1])
    with pytest.raises(IntegrityError) as caught:
        load_tensors(path)
    assert f"truncated: {len(whole) - 1} of {len(whole)} bytes" in str(caught.value)


def test_every_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.arange(16.0), "n": torch.tensor(2)}, {"epoch": 1})
    whole = path.read_bytes()
    expected, meta = load_tensors(path)
    for at in range(len(whole)):
        broken = bytearray(whole)
        broken[at] ^= 0x10
        path.write_bytes(broken)
        try:
            loaded, found = load_tensors(path)
        except IntegrityError:
            continue
        # a damaged name of the metadata's one key makes it a file of other people
        assert all(torch.equal(loaded[name], expected[name]) for name in expected)
        assert found in (meta, {})


def test_a_missing_file_is_a_data_error_and_a_text_file_an_integrity_error(tmp_path):
    with pytest.raises(DataError, match=r"no such file \(run `dvc repro`"):
        load_tensors(tmp_path / "none")
    (tmp_path / "text").write_text("<!doctype html><html>no weights here</html>")
    with pytest.raises(IntegrityError, match="not a readable safetensors file"):
        load_tensors(tmp_path / "text")


def test_files_of_other_people_have_no_metadata_and_no_digest(tmp_path):
    save_file({"x": torch.ones(2)}, tmp_path / "a", {"format": "pt"})
    tensors, meta = load_tensors(tmp_path / "a")
    assert meta == {}
    assert torch.equal(tensors["x"], torch.ones(2))
