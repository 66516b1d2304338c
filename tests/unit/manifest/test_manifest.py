"""The manifest holds one consistent row for each item, and equal content gives equal bytes."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipeline.ground import tables
from pipeline.ground.errors import DataError, IntegrityError
from pipeline.ground.tables import write_table
from pipeline.manifest.manifest import (
    COLUMNS,
    class_names,
    read_kept,
    read_manifest,
    reasons,
    typed_manifest,
    validate,
    write_manifest,
)
from pipeline.modality.facts import facts

KEPT_ROW = {
    "path": "b/1.png",
    "id": "0" * 64,
    "label": "b",
    "split": "train",
    "group": None,
    "weight": 1,
    "status": "kept",
    "reason": None,
    "width": 12,
    "height": 10,
    "mode": "L",
    "format": "PNG",
    "meta.site": "north",
}
LOST_ROW = KEPT_ROW | {
    "path": "a/2.png",
    "label": None,
    "split": None,
    "status": "quarantined",
    "reason": "not_image",
    "width": None,
    "height": None,
    "mode": None,
    "format": None,
}


def table(*rows):
    return pd.DataFrame(list(rows))


def test_a_manifest_comes_back_sorted_with_its_types(tmp_path):
    write_manifest(tmp_path / "m.parquet", table(KEPT_ROW, LOST_ROW))
    back = read_manifest(tmp_path / "m.parquet")
    assert tuple(back.columns) == (*COLUMNS, *facts("picture").columns, "meta.site")
    assert list(back["path"]) == ["a/2.png", "b/1.png"]
    assert list(back["label"].isna()) == [True, False]
    assert back["width"].tolist() == [pd.NA, 12]
    assert {name: str(kind) for name, kind in back.dtypes.items()} == {
        **dict.fromkeys(back.columns, "str"),
        "weight": "float64",
        "width": "Int64",
        "height": "Int64",
    }


def test_equal_content_gives_equal_bytes_in_any_order_and_with_any_input_types(tmp_path):
    write_manifest(tmp_path / "1.parquet", table(KEPT_ROW, LOST_ROW))
    other = table(LOST_ROW, KEPT_ROW).astype({"width": "float64", "label": "object"})
    write_manifest(tmp_path / "2.parquet", other)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


def test_a_column_that_is_missing_in_all_rows_keeps_its_type(tmp_path):
    write_manifest(tmp_path / "m.parquet", table(KEPT_ROW))
    back = read_manifest(tmp_path / "m.parquet")
    assert str(back["group"].dtype) == "str"
    assert back["group"].isna().all()


def test_kept_rows_are_renumbered(tmp_path):
    write_manifest(tmp_path / "m.parquet", table(KEPT_ROW, LOST_ROW))
    rows = read_kept(tmp_path / "m.parquet")
    assert rows["path"].to_dict() == {0: "b/1.png"}
    assert rows.dtypes.equals(read_manifest(tmp_path / "m.parquet").dtypes)


def test_a_manifest_of_several_groups_is_read_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_GROUP_ROWS", 2)
    rows = table(*(KEPT_ROW | {"path": f"b/{number}.png"} for number in range(5)), LOST_ROW)
    write_manifest(tmp_path / "m.parquet", rows)
    assert pq.ParquetFile(tmp_path / "m.parquet").num_row_groups == 3
    back = read_manifest(tmp_path / "m.parquet")
    pd.testing.assert_frame_equal(back, typed_manifest(rows))
    assert list(read_kept(tmp_path / "m.parquet")["path"]) == sorted(rows["path"])[1:]
    write_table(tmp_path / "m.parquet", back.iloc[[2, 3, 4, 5, 0, 1]])
    with pytest.raises(IntegrityError, match=r"paths must rise; first broken by 'a/2\.png'"):
        read_manifest(tmp_path / "m.parquet")


def test_classes_are_sorted_by_code_point_and_missing_labels_are_none():
    assert class_names(pd.Series(["b", "a", None, "B", "10", "9", "a"])) == (
        "10",
        "9",
        "B",
        "a",
        "b",
    )


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ([KEPT_ROW, KEPT_ROW], "paths must be unique; first broken by 'b/1.png'"),
        ([KEPT_ROW | {"status": "fine"}], "status must be one of"),
        ([KEPT_ROW | {"reason": "empty"}], "a row must have a reason, or be kept"),
        ([LOST_ROW | {"reason": None}], "a row must have a reason, or be kept"),
        ([LOST_ROW | {"reason": "ugly"}], "unknown reason; first broken by 'a/2.png'"),
        ([KEPT_ROW | {"split": None}], "kept rows, and no others, must have a split"),
        ([KEPT_ROW | {"split": "valid"}], "kept rows, and no others, must have a split"),
        ([LOST_ROW | {"split": "test"}], "kept rows, and no others, must have a split"),
        ([KEPT_ROW | {"label": None}], "a kept row must be complete"),
        ([KEPT_ROW | {"width": None}], "a kept row must be complete"),
        ([KEPT_ROW | {"weight": -1.0}], "weights must be at least 0"),
        ([KEPT_ROW | {"weight": float("nan")}], "weights must be at least 0"),
        ([KEPT_ROW | {"weight": float("inf")}], "weights must be at least 0"),
    ],
)
def test_broken_rules_are_named_with_the_first_row(rows, rule, tmp_path):
    with pytest.raises(ValueError, match=rule):
        validate(typed_manifest(table(*rows)))
    with pytest.raises(ValueError, match=rule):
        write_manifest(tmp_path / "m.parquet", table(*rows))
    assert not (tmp_path / "m.parquet").exists()


def test_foreign_tables_are_refused(tmp_path):
    table({"path": "a"}).to_parquet(tmp_path / "m.parquet")
    with pytest.raises(IntegrityError, match=r"m\.parquet: the columns must begin with path, id"):
        read_manifest(tmp_path / "m.parquet")
    typed_manifest(table(KEPT_ROW)).assign(more=1).to_parquet(tmp_path / "m.parquet", index=False)
    with pytest.raises(IntegrityError, match=r"must be meta\.<name>, got 'more'"):
        read_manifest(tmp_path / "m.parquet")
    with pytest.raises(DataError, match="no such file"):
        read_manifest(tmp_path / "none.parquet")


def test_reasons_are_codes_with_a_sentence():
    for code, sentence in reasons("picture").items():
        assert code == code.lower().replace(" ", "_")
        assert " " in sentence
        assert not sentence.endswith(".")
