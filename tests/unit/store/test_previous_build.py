"""The last build is found in DVC's cache, and used only where it was made in the same way."""

import errno
from pathlib import Path

import pytest
import yaml

from pipeline.ground.files import md5_file, write_json
from pipeline.picture.read import spec as picture
from pipeline.raw import sniff
from pipeline.store.previous_build import code_digest, earlier_build

MADE_FROM = {"code": "abc", "spec": {"size_px": 8}}


def store(folder, path):
    """Put a file into a cache, and give its md5."""
    md5 = md5_file(path)
    place = folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(path.read_bytes())
    return md5


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder where DVC made `artifacts/a/out` (two files) and `artifacts/a/key.json`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "artifacts/a/out/sub").mkdir(parents=True)
    listing = []
    for name in ("one", "sub/two"):
        file = tmp_path / "artifacts/a/out" / name
        file.write_text(name)
        listing.append({"relpath": name, "md5": store(tmp_path, file)})
    write_json(tmp_path / "listing", listing)
    folder = store(tmp_path, tmp_path / "listing")
    place = tmp_path / ".dvc/cache/files/md5" / folder[:2] / folder[2:]
    place.rename(place.with_name(place.name + ".dir"))
    write_json(tmp_path / "artifacts/a/key.json", MADE_FROM)
    outs = [
        {"path": "artifacts/a/out", "md5": f"{folder}.dir"},
        {"path": "artifacts/a/key.json", "md5": store(tmp_path, tmp_path / "artifacts/a/key.json")},
    ]
    lock = {"schema": "2.0", "stages": {"a": {"cmd": "x", "outs": outs}}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock))
    return tmp_path


def open_it(project, made_from=MADE_FROM):
    return earlier_build(
        Path("artifacts/a/out"), key=Path("artifacts/a/key.json"), made_from=made_from
    )


def test_a_folder_is_given_as_links_that_vanish_afterwards(project):
    with open_it(project) as found:
        assert found is not None
        assert (found / "one").read_text() == "one"
        assert (found / "sub/two").read_text() == "sub/two"
    assert not found.exists()
    assert len(list((project / ".dvc/cache").rglob("*/*/*/*"))) == 4


def test_a_link_is_the_object_itself_where_the_file_system_lets_it(project, monkeypatch):
    for is_symlink in (False, True):
        with open_it(project) as found:
            assert (found / "sub/two").is_symlink() is is_symlink
            assert (found / "sub/two").read_text() == "sub/two"
            assert any(
                (found / "sub/two").samefile(each)
                for each in (project / ".dvc/cache").rglob("*/*/*/*")
            )

        def refuse(self, target):
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr(Path, "hardlink_to", refuse)


def test_another_key_is_not_used(project, caplog):
    caplog.set_level("INFO")
    with open_it(project, {"code": "abd", "spec": {"size_px": 8}}) as found:
        assert found is None
    assert "made with other params or code" in caplog.text


def lose_lock(project):
    (project / "dvc.lock").unlink()


def garble_lock(project):
    (project / "dvc.lock").write_text("stages: [")


def lose_an_object(project):
    next(
        path
        for path in (project / ".dvc/cache").rglob("*")
        if path.is_file() and path.read_text() == "one"
    ).unlink()


def lose_the_cache(project):
    (project / ".dvc").rename(project / "elsewhere")


@pytest.mark.parametrize("lose", [lose_lock, garble_lock, lose_an_object, lose_the_cache])
def test_what_is_not_there_is_made_anew(project, lose):
    lose(project)
    with open_it(project) as found:
        assert found is None


def test_a_listing_cannot_lead_out_of_the_folder(project):
    listing = next((project / ".dvc/cache").rglob("*.dir"))
    listing.write_text(listing.read_text().replace("sub/two", "../../two"))
    with open_it(project) as found:
        assert found is None


def test_the_digest_follows_code_and_versions():
    assert code_digest(picture, versions={"a": "1"}) == code_digest(picture, versions={"a": "1"})
    assert code_digest(picture, versions={"a": "1"}) != code_digest(picture, versions={"a": "2"})
    assert code_digest(picture, versions={}) != code_digest(picture, sniff, versions={})
