"""Every command and program of the page about serving, and of the server's own page, is run."""

import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape

import pytest

from pipeline.cli import main
from tests.support.closure import ROOT
from tests.support.project import ENVIRONMENT
from tests.support.published import RESULTS, Project, use_real_model
from tests.support.serving import serving

PAGE = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
TOKEN = "0123456789abcdef"
PROGRAMS = {
    "sh": ["bash", "-euo", "pipefail", "-c"],
    "python": [sys.executable, "-c"],
    "js": ["node", "--input-type=module", "-e"],
}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def commands(text):
    """Split shell text where a command ends, not where it goes on."""
    return re.sub(r"\\\n", "\0", text.strip()).splitlines()


CASES = [("sh", each.replace("\0", "\\\n")) for text in blocks("sh") for each in commands(text)]
CASES += [(language, text) for language in ("python", "js") for text in blocks(language)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    project = use_real_model(Project(tmp_path_factory.mktemp("docs")))
    images = project.folder / RESULTS.raw / "images"
    shutil.copy(images / "0.png", project.folder / "cell.png")
    shutil.copy(images / "1.png", project.folder / "other.png")
    (project.folder / "token").write_text(TOKEN + "\n")
    with serving("artifacts/train", "--decoders", "1", cwd=project.folder) as running:
        running.folder = project.folder
        yield running


def run(server, language, text):
    command = PROGRAMS[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    text = text.replace("http://127.0.0.1:8000", server.url)
    if language == "sh":
        options = "" if "--fail" in text else "--fail-with-body "
        text = re.sub(r"\bcurl ", f"curl --silent --show-error {options}", text)
    done = subprocess.run(
        [*command, text],
        cwd=server.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=ENVIRONMENT | {"HOME": os.devnull},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("language", "text"), CASES, ids=range(len(CASES)))
def test_what_the_page_shows_runs(server, language, text):
    out = run(server, language, text)
    if "/predict" in text or "/invocations" in text or "/infer" in text:
        assert "a/b" in out
        assert "null,null" not in out.replace(" ", "")


def test_the_page_shows_each_language_and_each_option(capsys):
    assert {language for language, _ in CASES} == set(PROGRAMS)
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    for option in set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}:
        assert f"{option} " in PAGE or f"`{option}`" in PAGE, option


def test_what_the_servers_own_page_shows_runs(server):
    text = server.client.get("/docs").text
    shown = [
        re.sub(r"<[^>]+>", "", each.replace("<br>", "\n"))
        for each in re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)
    ]
    shown = [each for each in shown if "curl" in each]
    assert len(shown) == 5
    for each in shown:
        assert "a/b" in run(server, "sh", unescape(each))


def test_the_dockerfile_copies_what_there_is_and_starts_what_is_installed():
    lines = (ROOT / "docs/Dockerfile.serve").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    for source in (each for kind, rest in steps if kind == "COPY" for each in rest.split()[:-1]):
        assert (ROOT / source).exists() or source.startswith("artifacts/train/"), source
    (user,) = (rest for kind, rest in steps if kind == "USER")
    assert user.split(":")[0].isdigit()
    (entry,) = (json.loads(rest) for kind, rest in steps if kind == "ENTRYPOINT")
    assert entry == ["rootstock", "serve"]
    (health,) = (rest for kind, rest in steps if kind == "HEALTHCHECK")
    _, *check = json.loads(health.partition("CMD ")[2])
    assert check[0] == "-c"
    compile(check[1], "health", "exec")
    assert "/ready" in check[1]
