"""All of params.yaml is checked at once, with the rules that stages would find late."""

import subprocess
import sys

import pytest
import yaml

from pipeline.doctor import preflight
from pipeline.doctor.params import CLASSES, check_params, examine_params
from pipeline.doctor.shapes import draw_outline
from pipeline.ground.errors import ParamsError
from pipeline.ground.findings import gather
from pipeline.ground.params import SECTIONS, Unchecked, read_params
from pipeline.modality.nets import net
from pipeline.modality.reading import reader
from pipeline.modality.scaling import scaling
from pipeline.modality.sections import explain_params, sections
from pipeline.modality.shelving import shelf
from pipeline.model.params import FeaturesParams
from pipeline.picture.shelf.params import TransformParams
from tests.pipeline.test_dvc_yaml import STAGES, parameters
from tests.support.closure import ROOT

COMMITTED = ROOT / "params.yaml"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write params.yaml with other values by `section.key`; None leaves a key out."""
    monkeypatch.chdir(tmp_path)

    def write_params(changes):
        raw = read_params(COMMITTED)
        for path, value in changes.items():
            *parents, key = path.split(".")
            place = raw
            for name in parents:
                place = place[name]
            place[key] = value
            if value is None and key not in ("sha256", "key"):
                del place[key]
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(raw), encoding="utf-8")
        return path

    return write_params


def test_the_committed_params_are_right():
    found, params = gather("params", check_params(COMMITTED))
    assert [each.level for each in found] == ["ok"]
    assert set(params.sections) == set(SECTIONS) - {"task", "text"}


OF_PICTURES = {
    "clean": reader("picture").params,
    "transform": shelf("picture").params,
    "normalize": scaling("picture").params,
    "augment": net("picture").params,
    "explain": explain_params("picture"),
}
"""Sections that stages check once they know the modality."""


def test_a_modality_s_sections_are_those_of_its_parts():
    assert sections("picture") == OF_PICTURES


def test_every_section_of_a_stage_is_checked_with_the_stage_s_own_class():
    for stage in STAGES:
        for parameter in parameters(stage):
            if parameter.kind is not parameter.KEYWORD_ONLY and parameter.name != "task":
                own = parameter.annotation
                if own is Unchecked:
                    own = OF_PICTURES[parameter.name]
                known = (CLASSES | OF_PICTURES)[parameter.name]
                # a stage may read a part of a section
                assert own is known or own.model_fields.keys() <= known.model_fields.keys()


REGRESSION = {
    "task": "regression",
    "loss.name": "mse",
    "loss.label_smoothing": 0.0,
    "registry.metric": "mae",
}

WRONG = [
    ({"train.epochs": 0}, "train.epochs: must be 'auto' or be greater than or equal to 1, got 0"),
    ({"trian": {}}, "'trian' is not a known section (did you mean 'train'?)"),
    ({"optim.lrr": 1}, "optim: 'lrr' is not a known key (did you mean 'lr'?)"),
    ({"registry": None}, "the section 'registry' is missing"),
    ({"task": "ranking"}, "task: must be 'classification' or 'regression', got 'ranking'"),
    ({"optim.name": "adamwx"}, "optim.name: must be 'sgd', 'adam' or 'adamw', got 'adamwx'"),
    ({"data.path": "~/data"}, "data.path: must be a path inside the repository, got '~/data'"),
    ({"data.target": "split"}, "data.target: must be another column than path, split"),
    ({"clean.missing_label": "mean"}, "clean.missing_label: is for task: regression, got 'mean'"),
    ({"weights.source": "none"}, "weights.sha256: must be null where weights.source is none"),
    (
        {"weights.architecture": "resnett18"},
        "weights.architecture: must be an architecture that timm knows, got 'resnett18'",
    ),
    ({"weights.architecture": "resnet18.a1_in1kk"}, "close are resnet18.a1_in1k"),
    ({"features.cut": "blocks.9"}, "features.cut: must be a cut of tf_efficientnet_lite0"),
    ({"features.views": 8}, "must be 1 with cut: none, got 8"),
    ({"train.strategy": "top"}, "features.cut: must name a cut: train.strategy: top needs"),
    (
        {"features.pooled": False, "train.start": "probe"},
        "features.pooled: must be true: train.start: probe needs pooled features",
    ),
    (
        {"features.pooled": False, "train.strategy": "head", "train.batch_norm": "stored"},
        "features.pooled: must be true: train.strategy: head needs pooled features",
    ),
    (
        {"train.strategy": "top", "train.cutmix": 1.0},
        "train.cutmix: must be 0.0 for `train.strategy: top`",
    ),
    ({"train.parts": 33}, "train.parts: must be at most 32, which is train.batch_size, got 33"),
    (
        {"train.parts": 4, "machine.ranks": 3},
        "machine.ranks: must divide train.parts, which is 4, got 3 (set it to one of 1, 2, 4;",
    ),
    ({"train.monitor": "mae"}, "train.monitor: must be one of loss, accuracy"),
    ({"loss.name": "mse"}, "loss.name: must be 'cross_entropy' for"),
    (
        {"augment.transpose": 0.0, "train.test_views": 8},
        "train.test_views: must be at most 4, the views",
    ),
    ({"train.start": "zero"}, "train.start: must be probe for `train.strategy: auto`"),
    ({"transform.resize": "squeeze"}, "transform.resize: must be 'squash', 'crop', 'center' or"),
    ({"registry.metric": "mae"}, "registry.metric: must be one of accuracy, balanced_accuracy"),
    (REGRESSION | {"registry.metric": "accuracy"}, "registry.metric: must be one of mae, rmse"),
    ({"tune.space": {"optim.lr": {"low": 1.0, "high": 0.1}}}, "tune.space.optim.lr.high: must be"),
    ({"tune.space": {"features.cut": {"choices": [1, 2]}}}, "`features` cannot be searched"),
    (
        {"weights.architecture": "vit_tiny_patch16_224", "transform.size_px": 100},
        "transform.size_px: must be 224, the only size that vit_tiny_patch16_224 takes",
    ),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[text[:40] for _, text in WRONG])
def test_what_is_wrong_is_told_with_exit_code_2(write, changes, message):
    found, _ = gather("params", check_params(write(changes)))
    errors = [each for each in found if each.level == "error"]
    assert any(message in each.line() for each in errors), [each.line() for each in found]
    assert {each.exit_code for each in errors} == {2}
    assert all("\n" not in each.line() for each in errors)


def test_regression_needs_four_values_and_is_right_then(write):
    assert examine_params(write(REGRESSION))[1] == []


def test_everything_wrong_is_told_at_once(write):
    changes = {"train.epochs": 0, "optim.lr": -1.0, "clean.animated": "last", "loss.name": "mse"}
    _, errors = examine_params(write(changes))
    assert len(errors) == 4


def test_sections_that_are_right_are_given_beside_wrong_ones(write):
    params, _ = examine_params(write({"train.epochs": 0}))
    assert params.find(CLASSES["train"]) is None
    assert params.find(CLASSES["optim"]).name == "adamw"


def test_a_file_that_cannot_be_read_is_one_error(tmp_path):
    (tmp_path / "params.yaml").write_text("a: [", encoding="utf-8")
    found, params = gather("params", check_params(tmp_path / "params.yaml"))
    assert params is None
    assert [each.exit_code for each in found] == [2]


@pytest.mark.parametrize(
    ("architecture", "cut", "shape", "dim"),
    [
        ("tf_efficientnet_lite0", -4, (80, 14, 14), 2560),
        ("tf_efficientnet_lite0", "none", None, 2560),
        ("resnet18", "layer3", (128, 28, 28), 1024),
    ],
)
def test_the_outline_has_the_shapes_that_features_will_have(architecture, cut, shape, dim):
    features = FeaturesParams(
        pooled=True, cut=cut, views=1, pooling="mean+max", batch_size=8, seed=1
    )
    transform = TransformParams(
        size_px=224,
        resize="squash",
        interpolation="bilinear",
        background=(0, 0, 0),
        white16=65535,
        shard_rows=8,
    )
    outline = draw_outline(architecture, features, transform)
    assert (outline.shape, outline.pooled_dim) == (shape, dim)


def test_repro_checks_every_section_before_dvc_and_once(write):
    path = write({"train.epochs": 0})
    with pytest.raises(ParamsError, match=r"params\.yaml: train\.epochs: must be 'auto' or"):
        preflight.refuse_wrong_params()
    assert not preflight._SEAL.exists()
    write({})
    preflight.refuse_wrong_params()
    code = (
        "import sys; from pipeline.doctor import preflight; preflight.refuse_wrong_params(); "
        "sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.append({str(ROOT)!r}); {code}"]
    assert subprocess.run(command, cwd=path.parent, check=False).returncode == 0
    write({"train.epochs": 0})
    with pytest.raises(ParamsError):
        preflight.refuse_wrong_params()


def test_params_are_checked_without_what_computes():
    code = (
        "import sys, pipeline.doctor.params; "
        "sys.exit(bool({'torch', 'timm', 'matplotlib', 'mlflow'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.append({str(ROOT)!r}); {code}"]
    assert subprocess.run(command, check=False).returncode == 0
