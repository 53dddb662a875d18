"""Bad input: one message with the place and the remedy, the right exit code, nothing half-written.

Every case runs in a folder of its own that holds the files it names; afterwards nothing else may
lie there.
"""

import json
import os
import shutil

import pytest

from fettle.store import locks
from stories import flip_byte, texts_and_labels, write_rows

ROWS = texts_and_labels(60)
TEXTS = [text for text, _ in ROWS]


def lines(rows, end="\n"):
    return "".join(f"{','.join(row)}{end}" for row in [("text", "label"), *rows])


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_rows(folder / "tickets.csv", ROWS)
    return folder


def files_in(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(done, *words, code=2):
    """The last line of standard error is the one message; nothing stands on standard output."""
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    message = done.err[done.err.index("fettle: "):]
    for word in words:
        assert word in message, message
    assert done.err.count("fettle: ") == 1


def tuning(fettle, here, tiny, *arguments, first="tickets.csv"):
    """`fettle tune`, and the proof that it left the folder as it was."""
    before = files_in(here)
    done = fettle("tune", first, "--model", tiny, *arguments)
    assert files_in(here) == before
    assert not (here / ".fettle").exists()
    return done


FILES = {
    "one class": ([(text, "same") for text in TEXTS], ["'same' in every row", "--target"]),
    "three rows": (ROWS[:3], ["3 rows", "Label more"]),
    "texts all empty": ([("", label) for _, label in ROWS], ["'text'", "empty in every row"]),
    "answers all empty": ([(text, "") for text in TEXTS], ["'label'", "empty in every row"]),
    "every cell empty": ([("", "")] * 20, ["empty in every row"]),
    "a target like an id": (
        [(text, f"id {row}") for row, text in enumerate(TEXTS)], ["'label'", "--target"]
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_rows_that_cannot_teach(case, here, fettle, tiny):
    rows, words = FILES[case]
    write_rows(here / "bad.csv", rows)
    refused(tuning(fettle, here, tiny, first="bad.csv"), "bad.csv", *words)


CONTENTS = {
    "latin-1 bytes": (
        lines([(f"caf\xe9 {text}", label) for text, label in ROWS]).encode("latin-1"),
        ["line 2", "0xe9", "--encoding"],
    ),
    "a header twice": (
        b"text,text,label\n" + b"a,b,c\n" * 9, ["'text'", "Rename"]
    ),
    "over one percent ragged": (
        (lines(ROWS) + "a,b,c\n" * 3).encode(), ["3 of the 63", "bad.csv:62", "3 cells"]
    ),
    "nothing at all": (b"", ["empty"]),
    "a header alone": (b"text,label\n", ["no rows"]),
    "zeros": (b"text,label\n" + b"a\0b,c\n" * 9, ["line 2"]),
    "a zip file": (b"PK\x03\x04" + b"\0" * 99, ["zip"]),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_files_that_cannot_be_read(case, here, fettle, tiny):
    content, words = CONTENTS[case]
    (here / "bad.csv").write_bytes(content)
    refused(tuning(fettle, here, tiny, first="bad.csv"), "bad.csv", *words)


def test_latin_1_is_read_once_it_is_named(here, fettle):
    (here / "bad.csv").write_bytes(CONTENTS["latin-1 bytes"][0])
    assert fettle("audit", "bad.csv", "--encoding", "latin-1").code == 0


def test_under_one_percent_of_ragged_rows_is_put_aside_and_listed(here, tell, tiny, fettle):
    rows = texts_and_labels(240)
    data = here / "some.csv"
    data.write_text(lines(rows[:100]) + "a,b,c\n" + lines(rows[100:]).partition("\n")[2])
    listed = fettle("audit", "some.csv", "--json").json["findings"]
    (ragged,) = [one for one in listed if one["check"] == "ragged"]
    assert (ragged["count"], ragged["rows"]) == (1, ["some.csv:102"])
    told = tell(here, data, model=tiny, rungs=("features",))
    assert told.dataset.rows == 240
    assert "some.csv:102" in (told.run_folder / "report.html").read_text()


ARGUMENTS = {
    "a column that is not there": (["--target", "lable"], ["'lable'", "Did you mean 'label'"]),
    "an input that is not there": (["--inputs", "txt"], ["'txt'", "Did you mean 'text'"]),
    "a test file that is not there": (["--test", "ticket.csv"], ["Did you mean 'tickets.csv'"]),
    "the same file as test": (["--test", "tickets.csv"], ["twice"]),
    "a rung that is not there": (["--rungs", "featuers"], ["Did you mean 'features'"]),
    "a rung twice": (["--rungs", "full,full"], ["full is named twice"]),
    "a strategy that is not there": (["--strategy", "ful"], ["Did you mean 'full'"]),
    "both of one": (["--rungs", "full", "--strategy", "full"], ["one of the two"]),
    "a task that is not there": (["--task", "clasification"], ["Did you mean 'classification'"]),
    "a check that is not there": (["--allow", "smal_classes"], ["Did you mean 'small_classes'"]),
    "an encoding that is not there": (["--encoding", "utf9"], ["Did you mean 'utf-8'"]),
    "a seed below 0": (["--seed", "-1"], ["seed", "-1"]),
    "a name that is a path": (["--name", "../up"], ["--name"]),
    "a config that is not there": (["--config", "plan.yaml"], ["--model and --config"]),
    **{
        f"a budget of {text!r}": (["--budget", text], ["--budget", "15m"])
        for text in ("soon", "-5", "0", "5x", "nan", "1e400", "")
    },
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments_that_cannot_be_meant(case, here, fettle, tiny):
    arguments, words = ARGUMENTS[case]
    refused(tuning(fettle, here, tiny, *arguments), *words)


@pytest.mark.parametrize("verb", ["tune", "audit", "plan"])
def test_a_file_that_is_not_there_is_answered_with_the_nearest(verb, here, fettle):
    refused(fettle(verb, "ticket.csv"), "ticket.csv", "Did you mean 'tickets.csv'")


@pytest.mark.parametrize("verb", ["tune", "audit", "plan"])
def test_no_file_at_all(verb, here, fettle):
    refused(fettle(verb), "No data was named")


def test_a_folder_in_place_of_a_file(here, fettle):
    (here / "rows").mkdir()
    refused(fettle("tune", "rows"), "rows is a folder")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tune", "tickets.csv", "--modle", "x"], "--model"),
        (["tunee", "tickets.csv"], "'tune'"),
        (["tune", "tickets.csv", "--seed", "one"], "--seed"),
        (["evaluate", "tickets"], "data"),
    ],
)
def test_a_command_that_is_misspelt_ends_with_2_and_the_nearest(here, fettle, arguments, words):
    done = fettle(*arguments)
    assert done.code == 2
    assert words.lower() in done.err.lower()
    assert "Traceback" not in done.err
    assert done.out == ""


# Models.


def broken_model(tiny, folder, kind):
    shutil.copytree(tiny, folder)
    config = json.loads((folder / "config.json").read_text())
    match kind:
        case "no weights":
            (folder / "model.safetensors").unlink()
        case "no tokenizer":
            (folder / "tokenizer.json").unlink()
        case "a torn config":
            (folder / "config.json").write_text('{"model_type": "ber')
        case "torn weights":
            weights = folder / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:-50])
        case "a pickle":
            (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
        case "code of its own":
            config["auto_map"] = {"AutoModel": "modeling.Model"}
            (folder / "config.json").write_text(json.dumps(config))
        case "no kind of model":
            del config["model_type"]
            (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("no weights", ["model.safetensors"]),
        ("a torn config", ["config.json"]),
        ("torn weights", ["model.safetensors"]),
        ("a pickle", ["pytorch_model.bin", "pickle", "nothing of the folder was opened"]),
        ("code of its own", ["auto_map", "opened"]),
        ("no kind of model", ["config.json"]),
    ],
)
def test_a_model_folder_that_cannot_be_used(kind, words, here, fettle, tiny, tmp_path):
    folder = tmp_path / "model"
    broken_model(tiny, folder, kind)
    refused(tuning(fettle, here, folder), *words)


def test_a_model_without_its_tokenizer_is_refused_and_the_same_command_goes_on_with_it(
    here, fettle, tiny, tmp_path
):
    folder = tmp_path / "model"
    broken_model(tiny, folder, "no tokenizer")
    refused(fettle("tune", "tickets.csv", "--model", folder, "--rungs", "features"), "tokenizer")
    shutil.copy(tiny / "tokenizer.json", folder)
    done = fettle("tune", "tickets.csv", "--model", folder, "--rungs", "features", "--json")
    assert done.code == 0, done.err
    assert done.json["version"] == "tickets@1"


def test_a_model_folder_that_is_empty_or_not_there(here, fettle, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(tuning(fettle, here, tmp_path / "empty"), "no config.json")
    refused(tuning(fettle, here, tmp_path / "empyt"), "Did you mean", "empty")


def test_a_hub_name_where_there_is_no_network(here, fettle):
    refused(tuning(fettle, here, "some-org/some-model"), "some-org/some-model", "HF_HUB_OFFLINE",
            "hf download")


# Blockers.


def test_a_class_with_one_row_ends_with_3_and_can_be_allowed(here, fettle, tiny):
    write_rows(here / "lone.csv", [*ROWS, ("my only now", "alone")])
    done = tuning(fettle, here, tiny, first="lone.csv")
    refused(done, "'alone'", "--allow small_classes", code=3)
    allowed = fettle("tune", "lone.csv", "--model", tiny, "--rungs", "features", "--allow",
                     "small_classes", "--json")
    assert allowed.code == 0, allowed.err
    assert allowed.json["version"] == "lone@1"


def test_a_label_in_the_test_file_alone_ends_with_3(here, fettle, tiny):
    strange = [*texts_and_labels(9, seed=2, without=ROWS), ("up my pay", "unheard of")]
    write_rows(here / "test.csv", strange)
    done = tuning(fettle, here, tiny, "--test", "test.csv")
    refused(done, "'unheard of'", "--allow unseen", code=3)


def test_an_input_that_is_the_answer_ends_with_3(here, fettle, tiny):
    write_rows(here / "leak.csv", [(text, label, label) for text, label in ROWS],
               header=("text", "topic", "label"))
    done = tuning(fettle, here, tiny, "--inputs", "text,topic", "--target", "label",
                  first="leak.csv")
    refused(done, "'topic'", "--allow answer", code=3)


# Folders.


def test_an_out_folder_with_something_else_in_it(here, fettle, tiny):
    (here / "foreign").mkdir()
    (here / "foreign" / "thesis.txt").write_text("years of work")
    refused(tuning(fettle, here, tiny, "--out", "foreign"), "thesis.txt", "--out")


def test_a_file_in_place_of_the_out_folder(here, fettle, tiny):
    (here / "notes").write_text("")
    refused(tuning(fettle, here, tiny, "--out", "notes"), "notes", "--out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_out_folder_that_may_not_be_written_to(here, fettle, tiny):
    (here / "closed").mkdir(mode=0o500)
    refused(tuning(fettle, here, tiny, "--out", "closed"), "closed", "--out")


def test_a_folder_that_another_process_holds(here, fettle, tiny):
    with locks.hold(here / "run"):
        done = fettle("tune", "tickets.csv", "--model", tiny, "--out", "run")
    refused(done, "run", "in use by process", "--out")
    assert [path.name for path in (here / "run").iterdir()] == [".lock"]


# Versions.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ticket", "a text"], ["Did you mean 'tickets'"]),
        (["tickets@9", "a text"], ["'9'"]),
        (["tickets"], ["--input"]),
        (["tickets", "a text", "--input", "x.csv"], ["one of the two"]),
        (["tickets", "--input", "ticket.csv"], ["ticket.csv"]),
        (["tickets", ""], ["empty"]),
        (["tickets", "   "], ["empty"]),
    ],
)
def test_predict_refuses(here, fettle, told, arguments, words):
    refused(fettle("predict", *arguments, "--registry", told.registry), *words)


def test_predict_says_which_rows_of_a_file_have_nothing_to_read(here, fettle, told):
    write_rows(here / "new.csv", [["lost card"], [""], ["top up money"]], header=["text"])
    done = fettle("predict", "tickets", "--input", "new.csv", "--json", "--registry", told.registry)
    assert done.code == 0
    ids = [json.loads(line)["id"] for line in done.out.splitlines()]
    assert ids == ["new.csv:2", "new.csv:3", "new.csv:4"]
    assert "new.csv:3 has nothing to read" in done.err


def test_predict_without_a_registry_makes_none(here, fettle):
    refused(fettle("predict", "tickets", "a text"), "fettle tune")
    assert not (here / ".fettle").exists()


def test_a_flipped_byte_in_a_version_ends_with_2(here, fettle, told, tmp_path):
    folder = tmp_path / "version"
    shutil.copytree(told.run_folder / "version", folder)
    flip_byte(folder / "model.safetensors")
    refused(fettle("predict", folder, "a text"), "model.safetensors", "not the file")


@pytest.mark.parametrize("verb", ["report", "predict", "evaluate"])
def test_a_folder_that_holds_no_run_or_version(here, fettle, verb):
    (here / "empty").mkdir()
    more = {"report": [], "predict": ["a text"], "evaluate": ["tickets.csv"]}[verb]
    refused(fettle(verb, "empty", *more), "empty")


def test_evaluate_on_rows_without_answers(here, fettle, told):
    write_rows(here / "new.csv", [["lost card"]], header=["text"])
    done = fettle("evaluate", "tickets", "new.csv", "--registry", told.registry)
    refused(done, "no column 'label'", "fettle predict")


def test_a_registry_that_is_none(here, fettle):
    (here / "r").mkdir()
    (here / "r" / "registry.db").write_text("not a database " * 99)
    refused(fettle("versions", "--registry", "r"), "registry.db")
