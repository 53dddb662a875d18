"""The plan of the house, as a test: floors, sizes, names, and what no file may do."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "src" / "fettle"
MODULES = sorted(ROOT.rglob("*.py"))

FLOORS = [
    {
        "__init__", "__main__", "api", "cli", "cli_export", "cli_models", "cli_serve",
        "cli_upkeep", "cli_watch", "console", "options",
    },
    {"rebuilding"},
    {"pipeline", "upkeep", "feedback", "watching", "asking", "web", "demo", "doctor"},
    {"witnesses"},
    {"stages"},
    {
        "engine", "strategies", "models", "tasks", "modalities",
        "formats", "checks", "exporters", "pages",
    },
    {"measures"},
    {"store"},
    {"core"},
]  # fmt: skip
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FACE = FLOORS[0]
LARDER = "data"
"""The room without code: what comes with fettle."""

FILE_LINES, FUNCTION_LINES = 400, 60

OUTSIDE = {"core": {"numpy", "pyarrow"}, "measures": {"numpy", "scipy"}}
"""All that these rooms may import beside the standard library and fettle."""

HEAVY = {"torch", "sklearn", "scipy", "transformers", "matplotlib", "pandas"}
"""What takes seconds to import, or a good part of one."""

PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
EVALUATORS = {"eval", "exec", "compile", "__import__"}
UNSAFE_CALLS = {
    "torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen",
    "pandas.read_pickle", "pd.read_pickle",
}  # fmt: skip
UNSAFE_KEYWORDS = {"trust_remote_code", "allow_pickle", "shell"}

WRITERS = {
    "write_text", "write_bytes", "mkdir", "makedirs", "touch", "unlink", "rmdir", "rmtree",
    "removedirs", "rename", "renames", "symlink_to", "symlink", "hardlink_to", "copyfile",
    "copytree", "copy2", "save_pretrained", "save_file", "savefig", "write_table", "extractall",
}  # fmt: skip
"""Methods and functions that change the disk, by the name they are called by."""
WRITING_CALLS = {
    "os.replace", "os.remove", "shutil.copy", "shutil.move", "torch.save", "np.save", "np.savez",
    "np.savetxt", "json.dump", "yaml.dump_all",
}  # fmt: skip

VAGUE = {"utils", "util", "helpers", "helper", "manager", "factory", "handler", "base", "common",
         "misc"}  # fmt: skip

every_module = pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    """fettle/stages/reading.py is stages.reading; fettle/stages/__init__.py is stages."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def imported(path: Path) -> Iterator[tuple[ast.stmt, str]]:
    """(node, dotted name) of every import, under TYPE_CHECKING and in functions too."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path, node)}: imports here are absolute"
            for alias in node.names:
                yield node, f"{node.module}.{alias.name}"


def imports(path: Path) -> Iterator[tuple[ast.stmt, str, str]]:
    """(node, room, module inside fettle) of every import of our own."""
    for node, name in imported(path):
        if name == "fettle" or name.startswith("fettle."):
            inside = name.split(".")[1:]
            known = bool(inside) and inside[0] in FLOOR
            yield node, inside[0] if known else "__init__", ".".join(inside)


def dotted(node: ast.AST) -> str:
    """torch.load for the call torch.load(...); empty where the callee is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def calls(path: Path) -> Iterator[tuple[ast.Call, str, str]]:
    """(call, dotted name, last name) of every call."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            last = node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func)
            yield node, dotted(node.func), last


def test_there_is_a_house():
    assert len(MODULES) > 10


def test_every_room_stands_on_a_floor_and_the_larder_holds_no_code():
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms - {LARDER} <= set(FLOOR), "a room that stands on no floor"
    assert not list((ROOT / LARDER).rglob("*.py")), f"{LARDER} holds only data files"


@every_module
def test_imports_go_down_and_rooms_of_one_floor_do_not_know_each_other(path):
    room = room_of(path)
    assert room in FLOOR, f"{room} stands on no floor"
    for node, other, _ in imports(path):
        allowed = other == room or FLOOR[other] > FLOOR[room] or {room, other} <= FACE
        assert allowed, f"{place(path, node)}: {room} may not import {other}"


@pytest.mark.parametrize("path", sorted((ROOT / "stages").glob("*.py")), ids=lambda p: p.stem)
def test_a_stage_never_imports_a_stage(path):
    for node, room, module in imports(path):
        assert room != "stages", f"{place(path, node)}: {path.stem} may not import {module}"


@every_module
def test_core_and_measures_stand_on_little(path):
    allowed = OUTSIDE.get(room_of(path))
    if allowed is None:
        return
    typing_only = {
        id(node)
        for branch in ast.walk(tree_of(path))
        if isinstance(branch, ast.If) and dotted(branch.test).endswith("TYPE_CHECKING")
        for node in ast.walk(branch)
    }
    for node, name in imported(path):
        library = name.split(".")[0]
        if library in sys.stdlib_module_names or library in allowed | {"fettle"}:
            continue
        spared = module_of(path) == "core.parts" and id(node) in typing_only
        assert spared, f"{place(path, node)}: {room_of(path)} may not import {library}"


@every_module
def test_a_file_fits_its_room_and_a_function_fits_a_screen(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= FILE_LINES, f"{path.relative_to(ROOT)} has {lines} lines"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            length = node.end_lineno - first + 1
            assert length <= FUNCTION_LINES, f"{place(path, node)}: {node.name} has {length} lines"


@every_module
def test_a_module_opens_with_its_sentence(path):
    assert ast.get_docstring(tree_of(path)), f"{path.relative_to(ROOT)} has no docstring"


@every_module
def test_a_module_is_named_after_what_it_makes(path):
    if path.parent == ROOT / "formats":
        return  # csv and json are also the names of formats; imports are absolute
    assert path.stem not in VAGUE, f"{path.stem} says nothing"
    mistaken = path.stem in sys.stdlib_module_names and path.stem not in ("__init__", "__main__")
    assert not mistaken, f"{path.stem} is one of Python's own modules"


def defined(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None]]:
    """(name, value) of what the module itself defines at its top."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, None
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                for part in ast.walk(target):
                    if isinstance(part, ast.Name):
                        yield part.id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node.value


def is_type_variable(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and dotted(value.func) in ("TypeVar", "ParamSpec")


@every_module
def test_all_lists_the_public_names_and_no_others(path):
    if path.name == "__init__.py":
        return
    names = dict(defined(tree_of(path)))
    assert "__all__" in names, f"{path.relative_to(ROOT)} has no __all__"
    listed = set(ast.literal_eval(names.pop("__all__")))
    functions_and_classes = {name for name, value in names.items() if value is None}
    public = {name for name in functions_and_classes if not name.startswith("_")}
    assert public <= listed, f"public, and not in __all__: {sorted(public - listed)}"
    assert listed <= set(names), f"in __all__, and not defined here: {sorted(listed - set(names))}"
    assert not any(is_type_variable(names[name]) for name in listed)
    assert not any(name.startswith("_") and name != "__version__" for name in listed)


@every_module
def test_what_is_taken_from_a_module_is_public_there(path):
    for node, _, module in imports(path):
        *inside, name = module.split(".")
        source = ROOT.joinpath(*inside).with_suffix(".py") if inside else ROOT / "__init__.py"
        if inside and source.is_file():
            listed = ast.literal_eval(dict(defined(tree_of(source)))["__all__"])
            assert name in listed, f"{place(path, node)}: {name} is not in __all__ of {module}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/__init__.py")), ids=lambda p: p.parent.name)
def test_the_door_of_a_room_holds_at_most_the_dict_of_its_members(path):
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr, ast.If)
    for node in tree_of(path).body:
        assert isinstance(node, allowed), f"{place(path, node)}: this belongs in a file of its own"


@every_module
def test_only_the_face_prints(path):
    if room_of(path) in FACE:
        return
    for node, _, name in calls(path):
        assert name != "print", f"{place(path, node)}: print"
    for node in ast.walk(tree_of(path)):
        assert dotted(node) not in ("sys.stdout", "sys.stderr"), f"{place(path, node)}: sys.stdout"
    for node, name in imported(path):
        assert name.split(".")[0] not in ("rich", "typer"), f"{place(path, node)}: {name}"


@every_module
def test_nothing_is_unpickled_evaluated_or_caught_unseen(path):
    for node, name in imported(path):
        assert name.split(".")[0] not in PICKLES, f"{place(path, node)}: {name}"
    for node, name, _ in calls(path):
        assert name not in UNSAFE_CALLS | EVALUATORS, f"{place(path, node)}: {name}"
        for keyword in node.keywords:
            given = not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
            unsafe = keyword.arg in UNSAFE_KEYWORDS and given
            assert not unsafe, f"{place(path, node)}: {keyword.arg}"
    for node in ast.walk(tree_of(path)):
        bare = isinstance(node, ast.ExceptHandler) and node.type is None
        assert not bare, f"{place(path, node)}: except without a name"


@every_module
def test_nothing_is_imported_by_a_string(path):
    if path in (ROOT / "__init__.py", ROOT / "models" / "from_module.py"):
        return  # the verbs, when they are asked for; the module that a user names with --model
    for node, _, name in calls(path):
        assert name != "import_module", f"{place(path, node)}: import_module"


def is_mode_that_writes(value: ast.expr) -> bool:
    mode = value.value if isinstance(value, ast.Constant) else None
    return isinstance(mode, str) and set(mode) <= set("rwaxbt+") and bool(set(mode) & set("wax+"))


def writes(node: ast.Call, name: str, last: str) -> bool:
    if name in WRITING_CALLS or last in WRITERS:
        return True
    given = [*node.args, *(word.value for word in node.keywords if word.arg == "mode")]
    return last in ("open", "memmap", "fdopen", "OSFile") and any(map(is_mode_that_writes, given))


def handed_to_the_store(path: Path) -> set[int]:
    """Every node in the arguments of a call of the store, and in what only such calls name.

    `files.write_with(path, lambda temporary: _write_tensors(state, temporary))` is the store's
    writing, and so is all of `_write_tensors` where nothing else names it.
    """
    tree = tree_of(path)
    doors = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("fettle.store.")
        for alias in node.names
    }
    handed = {
        id(inner)
        for node, name, _ in calls(path)
        if name.split(".")[0] in doors
        for inner in ast.walk(node)
    }
    for function in ast.walk(tree):
        inside = function not in tree.body
        if isinstance(function, ast.FunctionDef) and (inside or function.name.startswith("_")):
            named = [node for node in ast.walk(tree) if dotted(node) == function.name]
            if named and all(id(node) in handed for node in named):
                handed |= {id(inner) for inner in ast.walk(function)}
    return handed


@every_module
def test_only_the_store_writes(path):
    if room_of(path) == "store":
        return
    handed = handed_to_the_store(path)
    for node, name, last in calls(path):
        allowed = id(node) in handed or not writes(node, name, last)
        assert allowed, f"{place(path, node)}: {name or last} writes"


@pytest.mark.parametrize("module", ["fettle", "fettle.cli"])
def test_the_face_is_imported_without_the_heavy_libraries(module):
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
