"""Equal inputs give equal keys, before training and after it; anything else gives other ones."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.ground.errors import ParamsError
from pipeline.keys.keys import run_keys, train_key
from pipeline.repo.imports import folder_md5
from pipeline.repo.lock import Lock
from tests.support.published import Project


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def keys(project):
    return run_keys(Lock.read(project.folder / "dvc.lock"))


def test_the_key_before_training_is_the_key_after_it(project):
    before = keys(project).train
    del project.lock["stages"]["train"], project.lock["stages"]["evaluate"]
    (project.folder / "dvc.lock").write_text(yaml.safe_dump(project.lock))
    assert train_key(project.folder) == before


def test_an_old_entry_of_train_itself_does_not_enter_its_key(project):
    before = keys(project).train
    project.lock["stages"]["train"]["deps"] = []
    project.lock["stages"]["train"]["params"] = {}
    (project.folder / "dvc.lock").write_text(yaml.safe_dump(project.lock))
    assert train_key(project.folder) == before


def test_the_key_is_the_sha256_of_what_the_design_says(project):
    store = hashlib.md5(b"store").hexdigest()
    code = hashlib.md5(b"train = 1\n").hexdigest()
    text = (
        '{"deps":{"artifacts/transform/store.json":"' + store + '","train.py":"' + code + '"},'
        '"params":{"data.target":"label","optim":{"lr":1e-05},"runtime":{"seed":1,"threads":1},'
        '"task":"classification","train":{"epochs":3,"strategy":"head"}}}'
    )
    train = hashlib.sha256(text.encode()).hexdigest()
    assert keys(project).train == train
    code = hashlib.md5(b"evaluate = 1\n").hexdigest()
    text = (
        '{"deps":{"evaluate.py":"' + code + '"},"params":{"evaluate":{"ece_bins":15,"seed":1},'
        '"runtime.threads":1},"train":"' + train + '"}'
    )
    assert keys(project).key == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda p: p.set_param("optim", lr=0.1), {"train", "key", "params"}),
        (lambda p: p.touch_code("train"), {"train", "key"}),
        (lambda p: p.touch_code("evaluate"), {"key"}),
        (lambda p: p.set_param("evaluate", seed=2), {"key", "params"}),
        (lambda p: p.set_param("runtime", threads=2), {"train", "key", "params"}),
        (lambda p: p.set_param("weights", source="timm:x"), {"params"}),
        (lambda p: p.set_param("registry", metric="loss"), set()),
        (lambda p: p.retrain("other weights"), {"model"}),
        (lambda p: setattr(p, "data_md5", "e" * 32 + ".dir") or p.record(), {"data"}),
        (lambda p: p.metrics.update(accuracy=0.5) or p.record(), {"metrics"}),
    ],
    ids=[
        "recipe",
        "train code",
        "evaluate code",
        "evaluate",
        "runtime",
        "upstream",
        "registry",
        "model bytes",
        "raw data",
        "metrics",
    ],
)
def test_what_changes_which_key(project, change, changed):
    before = vars(keys(project))
    change(project)
    after = vars(keys(project))
    assert {name for name in before if before[name] != after[name]} == changed


def test_values_are_read_as_dvc_reads_them(project):
    """PyYAML alone takes 1e-5 for a word, and `no` for false."""
    text = (project.folder / "params.yaml").read_text().replace("1.0e-05", "1e-5")
    assert "1e-5" in text
    (project.folder / "params.yaml").write_text(text)
    assert train_key(project.folder) == keys(project).train


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        ("dvc.lock", lambda text: None, r"dvc\.lock: no such file \(run `dvc repro`\)"),
        ("dvc.lock", lambda text: "<<<<<<< HEAD\n" + text, "unresolved merge"),
        ("dvc.lock", lambda text: text[: text.rindex("md5")] + "- x: [", r"dvc\.lock:\d+: "),
        ("dvc.lock", lambda text: "schema: '2.0'\n", "has no entry 'stages'"),
        ("dvc.lock", lambda text: text.replace("md5:", "etag:"), "must have path and md5"),
        ("dvc.yaml", lambda text: text.replace("- train.py", "- folder"), "no stage has written"),
        ("dvc.yaml", lambda text: text.replace("train:", "fit:"), "has no entry 'train'"),
        ("params.yaml", lambda text: text.replace("optim:", "optims:"), "'optim' is missing"),
        ("params.yaml", lambda text: text.replace("target:", "targets:"), "'data.target' is miss"),
    ],
    ids=[
        "no lock",
        "merge",
        "cut",
        "no stages",
        "no md5",
        "upstream has not run",
        "no stage",
        "no section",
        "no key",
    ],
)
def test_what_is_missing_is_told_in_one_line(project, file, edit, message):
    path = project.folder / file
    text = edit(path.read_text())
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(ParamsError, match=message):
        train_key(project.folder)


@pytest.mark.parametrize("stage", ["clean", "train", "evaluate"])
def test_a_result_that_is_not_finished_has_no_keys(project, stage):
    del project.lock["stages"][stage]
    with pytest.raises(ParamsError, match=f"has no entry '{stage}'"):
        run_keys(Lock(project.lock, "dvc.lock"))


def test_raw_data_that_clean_did_not_read_is_told(project):
    project.lock["stages"]["clean"]["deps"] = []
    with pytest.raises(ParamsError, match=r"data\.path: must be a dep of `clean`, got 'data/cel"):
        run_keys(Lock(project.lock, "dvc.lock"))


def test_params_of_other_files_are_refused(project):
    project.lock["stages"]["train"]["params"]["other.yaml"] = {"a": 1}
    with pytest.raises(ParamsError, match=r"only params\.yaml may be read"):
        run_keys(Lock(project.lock, "dvc.lock"))


def test_dvc_itself_agrees(tmp_path):
    """DVC writes the lock file here; a stage asks for its key while DVC runs it."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "1").write_text("1")
    (tmp_path / "train.py").write_text("pass\n")
    (tmp_path / "params.yaml").write_text(
        "data: {path: raw}\n"
        "train: {lr: 1e-5, word: 'no', day: '2024-01-01', many: [1, 2.0, 1e-3], none: null}\n"
        "seed: 010\n"
    )
    (tmp_path / "ask.py").write_text(
        "from pathlib import Path\nfrom pipeline.keys.keys import train_key\n"
        "Path('key').write_text(train_key(Path()))\n"
    )
    stages = {
        "clean": {
            "cmd": "cp -r raw clean",
            "deps": ["${data.path}"],
            "params": ["data"],
            "outs": ["clean"],
        },
        "train": {
            "cmd": f'"{sys.executable}" ask.py',
            "deps": ["clean", "train.py"],
            "params": ["train", "seed"],
            "outs": ["key"],
        },
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    dvc = shutil.which("dvc", path=Path(sys.executable).parent)
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "DVC_NO_ANALYTICS": "true",
    }
    for command in (["init", "--no-scm", "--quiet"], ["repro", "--quiet"]):
        subprocess.run([dvc, *command], cwd=tmp_path, env=environment, check=True)
    lock = Lock.read(tmp_path / "dvc.lock")
    assert lock.params("train")["train"]["lr"] == 1e-05
    assert (tmp_path / "key").read_text() == train_key(tmp_path)
    entry = lock.deps("train") | {"params": lock.params("train")}
    params = entry.pop("params")
    from pipeline.ground.files import sha256_json

    assert (tmp_path / "key").read_text() == sha256_json({"deps": entry, "params": params})


def test_code_that_is_a_folder_of_links_enters_by_what_the_links_lead_to(project):
    root = project.folder
    (root / "imports/train").mkdir(parents=True)
    (root / "imports/train/train").symlink_to("../../train.py")
    graph = yaml.safe_load((root / "dvc.yaml").read_text())
    deps = graph["stages"]["train"]["deps"]
    deps[deps.index("train.py")] = "imports/train"
    (root / "dvc.yaml").write_text(yaml.safe_dump(graph))
    before = train_key(root)
    (root / "train.py").write_text("train = 2\n")
    assert train_key(root) != before
    entry = project.lock["stages"]["train"]
    entry["deps"] = [
        {"path": "imports/train", "md5": folder_md5(root / "imports/train")}
        if each["path"] == "train.py"
        else each
        for each in entry["deps"]
    ]
    (root / "dvc.lock").write_text(yaml.safe_dump(project.lock))
    assert keys(project).train == train_key(root)
