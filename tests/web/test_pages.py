"""The commands of the README's and of docs/serving.md's `sh` blocks run, in their order."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from serving import free_port, serving
from stories import texts_and_labels, write_rows

ROOT = Path(__file__).resolve().parents[2]


def blocks(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))


def commands(page: Path, verb: str) -> list[str]:
    lines = [line.partition("  #")[0].strip() for line in blocks(page).splitlines()]
    return [line for line in lines if line.startswith(verb)]


@pytest.fixture(scope="module")
def messages(tmp_path_factory, tell, tiny):
    """A folder with a version of a model called messages, which reads subject and body."""
    folder = tmp_path_factory.mktemp("messages")
    rows = [(text.split()[0], text, label) for text, label in texts_and_labels(90)]
    data = write_rows(folder / "messages.csv", rows, header=("subject", "body", "label"))
    for seed in range(3):
        tell(folder, data, model=tiny, name="messages", rungs=("features",), target="label",
             inputs=("subject", "body"), seed=seed)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/serving.md"])
def test_serving_and_feedback_run_as_the_pages_say(page, machine, messages):
    path = ROOT / page
    served, asked, given = (commands(path, verb) for verb in ("fettle serve", "curl", "fettle fee"))
    assert served
    assert asked
    assert given
    for line in served:
        port = free_port()
        arguments = shlex.split(re.sub(r"--port \d+", "", line))[2:]
        with serving(machine, messages, *arguments[1:], "--audit-share", 1, port=port,
                     name=arguments[0]) as server:
            for curl in asked:
                done = subprocess.run(
                    [*shlex.split(curl.replace(":8000", f":{port}")), "--silent"],
                    capture_output=True, text=True, check=True,
                )
                answer = json.loads(done.stdout)
                assert [one["value"] for one in answer["predictions"]]
            assert server.stop() == 0
    (one,) = answer["predictions"]
    for line in given:
        name = next(part for part in line.split() if part.endswith(".csv"))
        write_rows(messages / name, [(one["id"], one["value"])], header=("id", "label"))
        done = subprocess.run(
            [sys.executable, "-c", "from fettle.cli import main; main()", *shlex.split(line)[1:]],
            cwd=messages, capture_output=True, text=True, check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "1 labels entered" in done.stdout


def test_every_limit_of_the_page_is_the_one_that_holds():
    from fettle.web.connection import HEAD_BYTES
    from fettle.web.desk import Limits
    from fettle.web.diary import MOST, MOST_BYTES
    from fettle.web.holding import MOST_BYTES as HELD
    from fettle.web.running import SHORTEST_TOKEN, Serving

    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    limits, settings = Limits(), Serving()
    for said in (
        f"`--queue` rows wait ({settings.queue_rows})", f"`--rows` rows ({limits.rows})",
        f"`--deadline` ({limits.deadline_seconds:g} s)",
        f"`--body-limit` ({limits.body_bytes // 2**20} MiB)",
        f"`--read-timeout` ({limits.read_seconds:g} s)", f"more than {HEAD_BYTES // 1024} KiB",
        f"`--poll` ({settings.poll_seconds:g} s)", f"at least {SHORTEST_TOKEN} characters",
        f"up to {MOST:,} answers ({MOST_BYTES // 2**20} MiB at most)",
        f"| {HELD // 2**20} MiB held by all requests",
        f"`--journal-limit` ({settings.journal_bytes // 2**30} GiB)",
        f"(`--audit-share`, {settings.keeping.audit_share:.0%})",
    ):
        assert said in " ".join(page.split()), said
