"""Links that DVC made into its own cache are files; every other way out of a data folder is not."""

import shutil

import pytest

from pipeline.ground.errors import DataError
from pipeline.raw.folder import look_at
from pipeline.raw.source import read_raw
from pipeline.raw.unsafe_entries import entry_fault, refuse_unsafe_entries

MD5 = "d2c13f4ea990a0178a70bf2bd22faa6d"
OBJECT = f"files/md5/{MD5[:2]}/{MD5[2:]}"
OLD_OBJECT = f"{MD5[:2]}/{MD5[2:]}"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Enter a project with a raw folder; neither machine nor user has a config of DVC."""
    for name in ("SYSTEM", "GLOBAL"):
        monkeypatch.setenv(f"DVC_{name}_CONFIG_DIR", str(tmp_path / name))
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    (folder / "data/mine/raw/cat").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def put(cache, place=OBJECT):
    (cache / place).parent.mkdir(parents=True, exist_ok=True)
    (cache / place).write_bytes(b"a picture")
    return cache / place


def link(project, target):
    path = project / "data/mine/raw/cat/1.png"
    path.symlink_to(target)
    return path


def usual(project):
    return project / ".dvc/cache"


def set_in(project, file, value):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"[cache]\n    dir = {value}\n")


def elsewhere(project):
    set_in(project, project / ".dvc/config", project.parent / "shared cache")
    return project.parent / "shared cache"


def relative(project):
    set_in(project, project / ".dvc/config", "../../shared")
    return project.parent / "shared"


def of_this_clone(project):
    set_in(project, project / ".dvc/config", "/nowhere")
    set_in(project, project / ".dvc/config.local", project.parent / "mine")
    return project.parent / "mine"


def of_the_user(project):
    set_in(project, project.parent / "GLOBAL/config", "caches")
    return project.parent / "GLOBAL/caches"


def of_the_machine(project):
    set_in(project, project.parent / "SYSTEM/config", project.parent / "all")
    return project.parent / "all"


def linked_itself(project):
    (project.parent / "disk").mkdir()
    (project / ".dvc/cache").symlink_to(project.parent / "disk")
    return project.parent / "disk"


def at_the_top_of_the_repository(project):
    shutil.rmtree(project / ".dvc")
    (project.parent / ".dvc").mkdir()
    return project.parent / ".dvc/cache"


CACHES = (
    usual,
    elsewhere,
    relative,
    of_this_clone,
    of_the_user,
    of_the_machine,
    linked_itself,
    at_the_top_of_the_repository,
)


@pytest.mark.parametrize("place", [OBJECT, OLD_OBJECT], ids=["dvc-3", "dvc-2"])
@pytest.mark.parametrize("cache_of", CACHES, ids=[each.__name__ for each in CACHES])
def test_a_link_into_the_cache_is_a_file(project, cache_of, place):
    link(project, put(cache_of(project), place))
    raw = project / "data/mine/raw"
    refuse_unsafe_entries(raw)
    assert look_at(raw).files == ("cat/1.png",)
    assert look_at(raw).unsafe == ()
    assert read_raw(raw, "cat/1.png", 100) == b"a picture"


def test_a_raw_folder_that_is_a_link_may_have_such_links(project):
    disk = project.parent / "disk"
    (project / "data/mine/raw").rename(disk)
    (project / "data/mine/raw").symlink_to(disk)
    link(project, put(usual(project)))
    refuse_unsafe_entries(project / "data/mine/raw")


HOSTILE = {
    "of-dvc": ".dvc/lock",
    "beside": ".dvc/cache/files/md5/notes.txt",
    "name-of-no-object": f".dvc/cache/files/md5/{MD5[:2]}/{MD5[2:]}.dir",
    "parent-of-the-cache": ".dvc/tmp/secret",
    "home": "../secret",
    "like-an-object-in-the-project": f"other/{OLD_OBJECT}x",
}


@pytest.mark.parametrize("target", HOSTILE.values(), ids=HOSTILE)
def test_any_other_link_leads_out(project, target):
    put(project, target)
    link(project, project / target)
    with pytest.raises(DataError, match="a link that leaves the data folder"):
        refuse_unsafe_entries(project / "data/mine/raw")


def test_a_link_through_the_cache_leads_out(project):
    put(project.parent, "secret")
    target = usual(project) / OBJECT
    target.parent.mkdir(parents=True)
    target.symlink_to(project.parent / "secret")
    path = link(project, target)
    fault = entry_fault(str(path), project / "data/mine/raw")
    assert fault == "a link that leaves the data folder"


def test_what_a_data_folder_says_of_a_cache_does_not_count(project):
    secret = put(project.parent / "other")
    raw = project / "data/mine/raw"
    set_in(project, raw / ".dvc/config", project.parent / "other")
    link(project, secret)
    with pytest.raises(DataError, match="must not be a link into a cache of DVC that is not this"):
        refuse_unsafe_entries(raw)


@pytest.mark.parametrize(
    ("cache", "remedy"),
    [("project/.dvc/cache", "run `dvc checkout`, or `dvc pull`"), ("old", "dvc checkout --relink")],
    ids=["collected", "moved"],
)
def test_a_link_of_dvc_that_leads_nowhere_says_what_to_do(project, cache, remedy):
    link(project, project.parent / cache / OBJECT)
    with pytest.raises(DataError, match=remedy):
        refuse_unsafe_entries(project / "data/mine/raw")
