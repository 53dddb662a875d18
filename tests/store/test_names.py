import pytest

from fettle.core.errors import CorruptFile, SettingError
from fettle.store.names import require_model_name, require_paths


@pytest.mark.parametrize("name", ["tickets", "größe 2", "a-b_c.d", "7", "конь"])
def test_names_of_models(name):
    assert require_model_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "con", "LPT1.x", "a@1", "a:b", " a",
                                  "a ", "a.", "-rf", "a\n", "a\u202eb", "\ufeffa", "x" * 101])
def test_what_is_no_name_of_a_model(name):
    with pytest.raises(SettingError, match="The name is"):
        require_model_name(name)


def test_paths_inside_a_version():
    require_paths(["model.safetensors", "deep/er/größe.json", ".hidden", "a b"], place="here")


@pytest.mark.parametrize(
    "path",
    ["../a", "a/../b", "/etc/passwd", "a//b", "a/", "./a", "..\\a", "a\\b", "C:a", "C:/a", "a\x00b",
     "..%2fa", "%2e%2e/a", "CON", "a/nul.txt", "a/b.", "a /b", "x" * 256, "é/" * 400 + "a", "",
     "a\u202eb", "e\u0301", "a:stream", 7, None, ["a"]],
)  # fmt: skip
def test_what_is_no_path_inside_a_version(path):
    with pytest.raises(CorruptFile, match="here lists a file called"):
        require_paths([path], place="here")


def test_two_paths_that_are_one_file_elsewhere():
    with pytest.raises(CorruptFile, match="the same as 'model'"):
        require_paths(["model", "Model"], place="here")
