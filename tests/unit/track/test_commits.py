"""The patch of a run holds its project alone, and fits its commit whatever git is told to print."""

import subprocess

import pytest

from pipeline.reproduce.worktree import apply_patch
from pipeline.track.commits import changed_files, git_facts, project_diff
from tests.support.project import ENVIRONMENT

LATIN = b"caf\xe9 \xe0 la carte\r\n"
BINARY = bytes(range(256)) * 3
TEXT = "".join(f"line {n}\n" for n in range(30))
FILES = {
    "ml/params.yaml": TEXT,
    "ml/stages/train.py": TEXT,
    "ml/.env": "TOKEN=\n",
    "ml/.dvc/config": "[core]\n",
    "ml/key.pem": "-\n",
    "web/.env.example": "TOKEN=\n",
    "web/app.py": TEXT + "app\n",
    "params.yaml": "of all: 1\n",
    "ml2/params.yaml": TEXT,
}


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, env=ENVIRONMENT, capture_output=True
    )
    return done.stdout


@pytest.fixture
def top(tmp_path):
    """A repository with projects in its subfolders, committed; every one of them was changed."""
    folder = tmp_path / "mono repo"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "ml/picture.bin").write_bytes(BINARY)
    (folder / "ml/menu.txt").write_bytes(LATIN)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "a")
    for name in FILES:
        if name not in ("ml/stages/train.py", "web/app.py"):
            with (folder / name).open("a") as stream:
                stream.write("secret\n")
    (folder / "ml/params.yaml").write_text(TEXT.replace("line 15\n", "line fifteen\n"))
    return folder


def staged_elsewhere(top):
    git(top, "add", "web", "params.yaml")


def renamed_out(top):
    git(top, "mv", "ml/stages/train.py", "web/train.py")


def renamed_in(top):
    git(top, "mv", "web/app.py", "ml/stages/app.py")


def renamed_within(top):
    git(top, "mv", "ml/stages/train.py", "ml/stages/learn.py")


def binary(top):
    (top / "ml/picture.bin").write_bytes(BINARY[::-1])


def of_another_encoding(top):
    (top / "ml/menu.txt").write_bytes(LATIN + LATIN.upper())


def removed(top):
    (top / "ml/stages/train.py").unlink()


def of_two_modes(top):
    (top / "ml/stages/train.py").chmod(0o755)


CHANGES = (
    staged_elsewhere,
    renamed_out,
    renamed_in,
    renamed_within,
    binary,
    of_another_encoding,
    removed,
    of_two_modes,
)
SETTINGS = {
    "noprefix": ("diff.noprefix", "true"),
    "mnemonic": ("diff.mnemonicPrefix", "true"),
    "color": ("color.ui", "always"),
    "no-context": ("diff.context", "0"),
    "external": ("diff.external", "/bin/false"),
    "relative": ("diff.relative", "true"),
    "copies": ("diff.renames", "copies"),
    "textconv": ("diff.text.textconv", "tr a-z A-Z <"),
    "submodules": ("diff.submodule", "log"),
    "blanks": ("diff.suppressBlankEmpty", "true"),
}


def listing(folder):
    """Give the bytes of all files of the project but those that no patch holds."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mode & 0o100)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (".env", "key.pem", "config")
    }


def rebuilt(top, patch):
    """Give the project as the patch makes it of the commit."""
    tree = top.parent / "tree"
    git(top, "worktree", "add", "--quiet", "--detach", str(tree), "HEAD")
    (top.parent / "a.patch").write_bytes(patch)
    apply_patch(tree / "ml", top.parent / "a.patch")
    assert (tree / "web/.env.example").read_text() == "TOKEN=\n"
    return listing(tree / "ml")


@pytest.mark.parametrize("change", CHANGES, ids=[each.__name__ for each in CHANGES])
def test_a_patch_holds_this_project_alone_and_makes_it_again(top, change):
    change(top)
    patch = project_diff(top / "ml")
    assert b"secret" not in patch
    assert b"of all" not in patch
    assert {name for name in changed_files(top / "ml") if name.startswith(("web", ".."))} == set()
    assert rebuilt(top, patch) == listing(top / "ml")


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_settings_of_git_do_not_change_a_patch(top, setting, monkeypatch):
    (top / ".gitattributes").write_text("*.yaml diff=text\n")
    binary(top)
    plain = project_diff(top / "ml")
    git(top, "config", *setting)
    monkeypatch.setenv("GIT_DIFF_OPTS", "--unified=0")
    assert project_diff(top / "ml") == plain
    assert rebuilt(top, plain) == listing(top / "ml")


def test_what_changes_beside_a_project_does_not_make_it_dirty(top):
    git(top, "checkout", "--quiet", "--", "ml")
    facts = git_facts(top / "ml", written=[])
    assert not facts.is_dirty
    assert facts.diff == b""
    assert git_facts(top / "ml2", written=[]).is_dirty


def test_a_recorded_patch_of_the_whole_repository_changes_the_project_alone(top):
    """Runs of before have one."""
    patch = git(top, "diff", "--binary", "HEAD")
    assert b"web/" in patch
    assert rebuilt(top, patch) == listing(top / "ml")
