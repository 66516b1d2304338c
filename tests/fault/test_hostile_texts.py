"""Every hostile text has an answer or a reason, by every way in: `clean`, `predict`, `serve`."""

import json
from contextlib import closing

import pytest

from pipeline.clean.case import Rules
from pipeline.clean.run import clean_items
from pipeline.clean.table import list_items
from pipeline.compute.engine import MachineParams
from pipeline.predict.inputs import Columns, find_inputs, sole_table
from pipeline.predict.run import Options, predict_files
from pipeline.raw.items import find_items
from pipeline.raw.texts.delimited import Delimited
from pipeline.version.fetch import fetch_model
from pipeline.version.process.resident import Resident, ResidentOptions
from tests.support.hostile_texts import CASES, csv_of
from tests.support.serving import assert_clean, assert_equal, serving
from tests.support.texts import MACHINE, SPLIT, text_params
from tests.support.tinytext import predict_texts, write_text_model

TEXTS = Columns(("text",), is_asked=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts") / "model"
    write_text_model(folder, max_tokens=16)
    return folder


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "raw/hostile.csv"
    path.parent.mkdir()
    path.write_bytes(csv_of(CASES))
    return path


def answers(model):
    """Give what a model answers in this process, by the name of each case that has an answer."""
    fine = {name: each for name, each in CASES.items() if each.reason is None}
    texts = [each.content.decode() for each in fine.values()]
    return dict(zip(fine, predict_texts(model, texts), strict=True))


def test_clean_keeps_each_or_names_the_reason(table):
    rules = Rules("classification", text_params(max_bad_frac=0.5, near_duplicates="off"), SPLIT)
    found = list_items(find_items(table.parent, table.parent, target="label", text="text"))
    cleaned = clean_items(table.parent, found, rules, MACHINE)
    reasons = cleaned.manifest.sort_values("path")["reason"].fillna("")
    wanted = [each.cleaned or each.reason or "" for each in CASES.values()]
    assert dict(zip(CASES, reasons, strict=True)) == dict(zip(CASES, wanted, strict=True))


def test_predict_answers_each_row_of_a_table(table, model, tmp_path):
    output = tmp_path / "out.csv"
    machine = MachineParams.alone(workers=1, progress="none")
    options = Options(output=output, overwrite=True, machine=machine, device=None, seconds=20.0)
    files = find_inputs([str(table)], but=output, texts=TEXTS)
    with closing(
        Resident(fetch_model(str(model)), ResidentOptions(decoders=1, seconds=20.0))
    ) as resident:
        predict_files(resident, files, options, sole_table([str(table)], TEXTS))
    out = Delimited(output, output.name, None, "utf-8")
    rows = [dict(zip(out.columns, cells, strict=True)) for _, cells in out.rows()]
    expected = answers(model)
    for (name, case), row in zip(CASES.items(), rows, strict=True):
        assert (row["error"].partition(":")[0] or None) == case.reason, name
        if case.reason is None:
            assert row["predicted_label"] == expected[name]["label"], name
            assert float(row["p_good"]) == pytest.approx(expected[name]["p_good"], abs=1e-6), name


@pytest.mark.slow
def test_serve_answers_each_alone_and_all_in_one_request(model):
    expected = answers(model)
    with serving("model", "--decoders", "1", cwd=model.parent) as server:
        for name, case in CASES.items():
            answer = server.post(case.content, "text/plain")
            assert_clean(answer)
            if case.reason is None:
                assert answer.status_code == 200, (name, answer.text)
                same = {key: value for key, value in expected[name].items() if key != "error"}
                assert_equal(answer.json(), same)
            else:
                assert answer.status_code == 422, name
                assert answer.json()["error"].startswith(f"{case.reason}: "), name
        sent = {
            name: case.content.decode("utf-8", "surrogatepass")
            for name, case in CASES.items()
            if case.reason != "not_utf8" or name == "half a surrogate pair"
        }
        body = json.dumps({"texts": [*sent.values()]})
        rows = server.post(body, "application/json").json()["predictions"]
        for name, row in zip(sent, rows, strict=True):
            code = row["error"] and row["error"].partition(":")[0]
            assert code == CASES[name].reason, name
