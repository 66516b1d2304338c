"""What a person is asked comes from what the stages left, each question once, and no stale one."""

import pandas as pd
import pytest
from starlette.exceptions import HTTPException

from pipeline.clean.near import PAIR_COLUMNS
from pipeline.cli import main
from pipeline.ground.files import sha256_file
from pipeline.ground.tables import write_table
from pipeline.manifest.manifest import reasons
from pipeline.picture.read.probe import Limits
from pipeline.picture.read.reader import READER
from pipeline.reviewing import cases
from pipeline.reviewing.app import Decide, Desk
from pipeline.reviewing.cases import find_cases
from pipeline.reviewing.decisions import Decisions
from pipeline.reviewing.neighbors import Nearest
from pipeline.reviewing.sources import Sources, read_sources
from pipeline.reviewing.views import Views, Wanted, render
from pipeline.suspects.reasons import REASONS as SUSPICIONS
from tests.support.closure import ROOT
from tests.support.packed import packed
from tests.support.rawfolder import class_folders, save_picture
from tests.support.reviewing import make_project
from tests.support.trainable import make_sources

REASONS = reasons("picture")

LIMITS = Limits(max_pixels=1_000_000, animated="first")


def item(path, label="cat", split="train", **changes):
    return {
        "path": path,
        "id": path[0] * 64,
        "label": label,
        "split": split,
        "group": None,
        "weight": 1.0,
        "status": "kept",
        "reason": None,
        "width": 8,
        "height": 8,
        "mode": "RGB",
        "format": "PNG",
    } | changes


def lost(path, reason, status="quarantined", **changes):
    return item(path, split=None, status=status, reason=reason, **changes)


def suspect(path, reason="label", **changes):
    return {
        "rank": 1,
        "path": path,
        "id": path[0] * 64,
        "split": "train",
        "label": "cat",
        "suggested": "dog" if reason == "label" else None,
        "reason": reason,
        "score": 0.9,
        "detail": "p(dog) 0.950, p(cat) 0.050",
    } | changes


def pair(a, b, *, splits=("train", "test"), labels=("cat", "cat"), dropped="a", turn="none"):
    return dict(zip(PAIR_COLUMNS, (a, b, 0.999, turn, *splits, *labels, dropped), strict=True))


def ask(items, *, near=(), suspects=None, seen=(), task="classification", predictions=None):
    return find_cases(
        Sources(
            task=task,
            manifest=pd.DataFrame(items),
            details={},
            seen=pd.DataFrame(seen, columns=["id", "content_hash", "reason", "detail"]).set_index(
                "id"
            ),
            near=pd.DataFrame(near, columns=PAIR_COLUMNS),
            suspects=None if suspects is None else pd.DataFrame(suspects),
            predictions=predictions,
        )
    )


def told(queue):
    paths = queue.sources.manifest["path"]
    return [(case.reasons[0][0], [paths[row] for row in case.rows]) for case in queue.cases]


def test_an_item_with_several_reasons_is_asked_about_once():
    reasons = ("label", "outlier", "low_information")
    queue = ask([item("a")], suspects=[suspect("a", each) for each in reasons])
    assert len(queue.cases) == 1
    assert [code for code, _ in queue.cases[0].reasons] == list(reasons)
    assert queue.cases[0].says == (("dog", 0.95), ("cat", 0.05))


def test_reasons_have_their_order_and_test_items_come_last():
    items = [
        item("a", split="test"),
        item("b"),
        lost("c", "truncated"),
        lost("d", "no_label"),
        lost("e", "conflict"),
        item("f"),
    ]
    found = [suspect("a", split="test"), suspect("b", "outlier"), suspect("f")]
    assert [code for code, _ in told(ask(items, suspects=found))] == [
        "conflict",
        "label",
        "no_label",
        "outlier",
        "truncated",
        "label",
    ]


def test_conflicts_of_equal_pixels_are_one_case():
    items = [
        lost("a", "conflict"),
        lost("b", "conflict", label="dog"),
        lost("c", "conflict"),
        lost("cc", "conflict", label="dog"),
    ]
    seen = [("a" * 64, "p", None, ""), ("b" * 64, "p", None, ""), ("c" * 64, "q", None, "")]
    queue = ask(items, seen=seen)
    assert told(queue) == [("conflict", ["a", "b"]), ("conflict", ["c", "cc"])]
    assert queue.cases[0].candidates == ("cat", "dog")
    assert queue.ids(queue.cases[0], 0) == ["a" * 64, "b" * 64]
    assert queue.ids(queue.cases[1], 3) == ["c" * 64], "two files of the same bytes"
    assert queue.actions(0) == ("drop", "relabel")


PAIRS = {
    "the one that went is asked about": (pair("a", "b"), ("near_dropped", ["a", "b"])),
    "whichever it is": (
        pair("a", "b", splits=("test", "val"), dropped="b"),
        ("near_dropped", ["b", "a"]),
    ),
    "where both stay, the less protected": (
        pair("a", "b", splits=("test", "train"), dropped="none"),
        ("near_across", ["b", "a"]),
    ),
    "two labels: the one that stays": (
        pair("a", "b", labels=("cat", "dog")),
        ("near_labels", ["b", "a"]),
    ),
    "two labels in one split": (
        pair("a", "b", splits=("val", "val"), labels=("cat", "dog"), dropped="none"),
        ("near_labels", ["a", "b"]),
    ),
}


@pytest.mark.parametrize(("near", "expected"), PAIRS.values(), ids=PAIRS)
def test_which_of_a_pair_is_in_question(near, expected):
    assert told(ask([item("a"), item("b")], near=[near])) == [expected]


def test_pairs_of_one_split_and_label_are_no_question():
    near = [pair("a", "b", splits=("val", "val"), dropped="none")]
    assert told(ask([item("a"), item("b")], near=near)) == []


def test_the_turn_is_that_from_the_item_in_question_to_the_other():
    near = [pair("a", "b", turn="right turn", dropped="b", splits=("test", "train"))]
    case = ask([item("a"), item("b")], near=near).cases[0]
    assert READER.turns[case.turn] == "left turn"


STALE = {
    "other bytes under the path": suspect("a", id="f" * 64),
    "no such path": suspect("z"),
    "another label": suspect("a", label="dog"),
    "not kept any more": suspect("b"),
}


@pytest.mark.parametrize("found", STALE.values(), ids=STALE)
def test_what_is_no_longer_so_is_counted_and_not_asked(found):
    queue = ask([item("a"), lost("b", "duplicate", status="dropped")], suspects=[found])
    assert queue.cases == ()
    assert "1 suspects or pairs are of older data" in queue.notes[0]


def test_what_was_dropped_by_a_decision_can_be_asked_for_again():
    queue = ask([lost("a", "review", status="dropped")], suspects=[suspect("a")])
    assert queue.actions(queue.cases[0].rows[0]) == ("keep", "drop", "relabel")


def test_a_look_alike_is_shown_with_its_twin():
    detail = (
        "cosine 0.970 with b (test), (val, x).png (val, dog); small gray pictures differ by "
        "1.2 of 255"
    )
    items = [item("a"), item("b (test), (val, x).png", split="val")]
    queue = ask(items, suspects=[suspect("a", "look_alike", detail=detail)])
    assert told(queue) == [("look_alike", ["a", "b (test), (val, x).png"])]


def test_items_without_bytes_are_told_and_not_asked():
    queue = ask([lost("a", "missing_file", id=None), item("b")])
    assert queue.cases == ()
    assert queue.notes[-1] == "1 items have no bytes to decide on (missing_file 1): mend the data."


def test_too_many_cases_of_one_reason_are_cut_with_a_count(monkeypatch):
    monkeypatch.setattr(cases, "MOST", 2)
    queue = ask([lost(f"{n}", "truncated") for n in range(5)])
    assert len(queue.cases) == 2
    assert "3 more come when these are settled" in queue.notes[-1]


def test_numbers_have_no_classes_and_no_pairs_with_two_labels():
    items = [item("a", label="1.5"), item("b", label="1.6", split="test")]
    found = suspect("a", label="1.5", suggested="2.25", detail="4.1 robust deviations from the p")
    near = pair("a", "b", labels=("1.5", "1.6"), splits=("val", "val"), dropped="none")
    queue = ask(items, near=[near], suspects=[found], task="regression")
    assert told(queue) == [("label", ["a"])]
    assert (queue.classes, queue.cases[0].suggested, queue.cases[0].says) == ((), "2.25", ())


def at_desk(tmp_path, queue):
    (tmp_path / "review").mkdir()
    decisions = Decisions(tmp_path / "review/pets.csv", "eva")
    return Desk("pets", queue, decisions, None, Nearest(tmp_path))


NUMBERS = {"2.5": True, "-1e-3": True, "nan": False, "1e999": False, "1_0": False, "two": False}


@pytest.mark.parametrize(("text", "is_taken"), NUMBERS.items(), ids=NUMBERS)
def test_of_numbers_any_is_a_label_that_clean_reads(tmp_path, text, is_taken):
    items = [item("a", label="1.5")]
    found = [suspect("a", label="1.5", suggested="2.25", detail="4.1 robust deviations")]
    desk = at_desk(tmp_path, ask(items, suspects=found, task="regression"))
    body = Decide(case=0, row=0, decision=f"relabel:{text}", seen={})
    if is_taken:
        assert desk.decide(body)["decisions"]["a" * 64]["decision"] == f"relabel:{text}"
    else:
        with pytest.raises(HTTPException, match=f"no label: {text}"):
            desk.decide(body)


PREDICTED = {
    "classes": (
        {"p_cat": 0.2, "p_dog": 0.7, "p_p_x": 0.1},
        [("dog", 0.7), ("cat", 0.2), ("p_x", 0.1)],
    ),
    "a value": ({"value": 2.5}, [("2.5", None)]),
}


@pytest.mark.parametrize(("columns", "says"), PREDICTED.values(), ids=PREDICTED)
def test_what_the_model_predicted_of_test_items_is_told(tmp_path, columns, says):
    items = [item("a", split="test"), item("b", split="test")]
    predictions = pd.DataFrame([{"path": "a", "id": "a" * 64, **columns}])
    queue = ask(items, suspects=[suspect("a", "outlier")], predictions=predictions)
    desk = at_desk(tmp_path, queue)
    assert [(name, None if p != p else p) for name, p in desk.item(0)["says"]] == says
    assert desk.item(1)["says"] == []


def test_neighbors_are_those_of_the_pooled_features(tmp_path):
    made = make_sources(tmp_path / "made", items=12)
    for name, folder in (("transform/store", made.store), ("features/cache", made.features)):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).symlink_to(folder)
    nearest = Nearest(tmp_path)
    found = nearest.of("003.png")
    assert len(found) == 8
    assert "003.png" not in dict(found)
    cosines = [cosine for _, cosine in found]
    assert cosines == sorted(cosines, reverse=True)
    assert cosines[0] <= 1.0 + 1e-6
    assert nearest.of("no such.png") == ()


def test_without_features_there_are_no_neighbors(tmp_path):
    assert Nearest(tmp_path).of("003.png") == ()


def test_the_note_is_one_line_and_no_formula():
    queue = ask([lost("=a\n", "conflict", label='"x"')])
    assert queue.note(queue.cases[0], 0).startswith("'=a : conflict, labeled '\"x\"'; ")


def run(capsys, *options, code):
    assert main(["review", "--no-browser", *options]) == code
    told = capsys.readouterr()
    return told.out + told.err


@pytest.fixture
def project(tmp_path, monkeypatch):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8").replace("data/elpv", "data/pets")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_before_clean_ran_the_command_is_named(project, capsys):
    assert "manifest.parquet: no such file (run `dvc repro`)" in run(capsys, code=3)


def test_nothing_to_review_is_one_line(project, capsys):
    columns = pd.DataFrame([item("a")])
    columns["width"] = columns["height"] = columns["width"].astype("Int64")
    write_table(project / "artifacts/clean/manifest.parquet", columns)
    text = run(capsys, code=0)
    assert text.startswith("nothing to review: 1 items are kept, and nothing speaks against them")
    assert "run `dvc repro suspects/dvc.yaml`" in text
    assert len(text.splitlines()) == 1


def test_a_wrong_review_file_is_named_before_anything_starts(project, capsys):
    (project / "review").mkdir()
    (project / "review/pets.csv").write_text("id,decision\nab,perhaps\n")
    assert "review/pets.csv:2: column 'decision'" in run(capsys, code=3)


USAGE = {
    "rows' options without rows": (["--first", "3"], "--first: goes with --append or --print"),
    "no such port": (["--port", "70000"], "--port: must be 0 to 65535, got 70000"),
}


@pytest.mark.parametrize(("options", "message"), USAGE.values(), ids=USAGE)
def test_wrong_options_are_told(project, capsys, options, message):
    assert message in run(capsys, *options, code=2)


def test_pictures_come_from_archives_too_and_only_as_they_were(tmp_path):
    raw = class_folders(tmp_path / "files", cats=1, dogs=1)
    content = (raw / "cat/00.png").read_bytes()
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/part.zip").write_bytes(packed([("cat/0.png", content)]))
    digest = sha256_file(raw / "cat/00.png")
    views = Views(tmp_path / "raw", "picture", LIMITS)
    try:
        shown = views.threads.submit(
            views.get, Wanted("part.zip/cat/0.png", digest, "view")
        ).result()
        assert shown.media_type == "image/png"
        assert shown.content.startswith(b"\x89PNG")
    finally:
        views.close()


REFUSED = {
    "other bytes than were judged": ("cat/00.png", "f" * 64, "`clean` read another file here"),
    "a path that leaves the folder": ("../secret.png", "f" * 64, "leaves the data folder"),
    "a file that is not here": ("cat/99.png", "f" * 64, "run `dvc pull`"),
}


@pytest.mark.parametrize(("path", "digest", "why"), REFUSED.values(), ids=REFUSED)
def test_why_there_is_no_picture_is_told_in_words(tmp_path, path, digest, why):
    raw = class_folders(tmp_path / "raw", cats=1, dogs=1)
    save_picture(tmp_path / "secret.png", 1)
    answer = render(raw, "picture", LIMITS, Wanted(path, digest, "view"))
    assert isinstance(answer, str)
    assert why in answer


def test_what_the_stages_write_is_read(tmp_path):
    cleaned = make_project(tmp_path)
    queue = find_cases(read_sources("classification", tmp_path / "artifacts"))
    counts = pd.Series([code for code, _ in told(queue)]).value_counts().to_dict()
    reasons = cleaned.report["reasons"]
    assert counts == {
        "label": 7,
        "near_dropped": reasons["near_duplicate_of"],
        "conflict": 1,
        "too_small": 2,
        "truncated": 1,
    }
    assert "its chunk b'IDAT' is cut off" in [each.reasons[0][1] for each in queue.cases]


def test_every_reason_has_a_name_on_the_page():
    known = {*REASONS, *SUSPICIONS} - set(cases._SETTLED)
    assert known - set(cases.titles("picture")) == {"unsafe_path", "missing_file", "forgotten"}, (
        "which have no bytes, or none that may be shown"
    )
