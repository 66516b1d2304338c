"""A version of an earlier commit runs that commit's code, whatever its age."""

import pytest

from pipeline.version.package import put_code


@pytest.mark.parametrize("rooms", [("track",), ("track", "version")], ids=["older", "now"])
def test_the_file_that_a_version_runs_is_that_of_its_code(tmp_path, rooms):
    folder, code = tmp_path / "model", tmp_path / "commit/pipeline"
    (folder / "code/pipeline").mkdir(parents=True)
    (folder / "code/pipeline/new.py").write_text("")
    (folder / "served.py").write_text("present\n")
    for room in rooms:
        (code / room).mkdir(parents=True)
        (code / room / "served.py").write_text(f"{room}\n")
    put_code(folder, code)
    assert (folder / "served.py").read_text() == f"{rooms[-1]}\n"
    found = sorted(each.name for each in (folder / "code/pipeline").iterdir())
    assert found == list(rooms)
