"""Make the files in this folder again: every one is an attack, and none of them may work.

    python attacks/make.py [FOLDER]

What runs, where it runs, makes a file called `canary` in the folder that the process stands in.
tests/test_attacks.py makes them anew, compares them with these, and tries each on fettle.
"""

import gzip
import hashlib
import io
import json
import pickle
import struct
import sys
import tarfile
import zipfile
from pathlib import Path

CANARY = "canary"
CONFIG = {"model_type": "bert", "hidden_size": 4, "vocab_size": 9, "num_hidden_layers": 1}
THEN = (2020, 1, 1, 0, 0, 0)


class Attack:
    """Unpickled, it makes the canary."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (CANARY, "w")


PICKLE = pickle.dumps(Attack(), protocol=2)
CODE = f"open({CANARY!r}, 'w').close()\n".encode()
TEMPLATE = "{{ cycler.__init__.__globals__.os.system('touch " + CANARY + "') }}"


def zipped(**members: bytes) -> bytes:
    """A zip of these members, by names that may lead anywhere; the same bytes each time."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, THEN), content)
    return stream.getvalue()


def tarred(*members: tuple[str, bytes, str]) -> bytes:
    """A tar of (name, content, where it links to)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content, link in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            if link:
                entry.type, entry.linkname = tarfile.SYMTYPE, link
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def tensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with this header, true or not."""
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


WHOLE = tensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4))
ARRAY = b"\x93NUMPY\x01\x00" + struct.pack("<H", 70) + (
    b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(69) + b"\n"
) + PICKLE


def models() -> dict[str, bytes]:
    """Folders of models, each plain but for one thing."""
    config = json.dumps(CONFIG).encode()
    evil = {
        "pickle": {"pytorch_model.bin": PICKLE},
        "pickle_in_a_zip": {"pytorch_model.bin": zipped(**{"archive/data.pkl": PICKLE})},
        "pickle_called_safetensors": {"model.safetensors": PICKLE},
        "pickle_called_text": {"vocab.txt": PICKLE},
        "random_state": {"rng_state.pth": zipped(**{"archive/data.pkl": PICKLE})},
        "optimizer": {"optimizer.pt": PICKLE},
        "joblib": {"scaler.joblib": PICKLE},
        "objects_in_an_array": {"vectors.npy": ARRAY},
        "code_beside": {"modeling_evil.py": CODE},
        "tokenizer_code": {"tokenization_evil.py": CODE},
        "auto_map": {"config.json": {**CONFIG, "auto_map": {"AutoModel": "modeling_evil.Evil"}}},
        "auto_map_elsewhere": {
            "config.json": {**CONFIG, "auto_map": {"AutoConfig": "evil/repo--config_evil.Evil"}}
        },
        "trust_remote_code": {"tokenizer_config.json": {"trust_remote_code": True}},
        "foreign_kernel": {"config.json": {**CONFIG, "_attn_implementation_internal": "evil/k"}},
        "chat_template": {"tokenizer_config.json": {"chat_template": TEMPLATE}},
        "header_lies": {"model.safetensors": tensors({}, length=2**63)},
        "overlapping_tensors": {"model.safetensors": tensors(
            {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
             "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, bytes(12)
        )},
        "shape_of_terabytes": {"model.safetensors": tensors(
            {"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4]}}, bytes(4)
        )},
    }
    found = {}
    for name, files in evil.items():
        for path, content in {"config.json": config, "model.safetensors": WHOLE, **files}.items():
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            found[f"models/{name}/{path}"] = raw
    return found


def versions() -> dict[str, bytes]:
    """Folders of versions whose lists of files are not what they seem."""
    plan = json.dumps({"reading": {"target": "label"}, "metric": "accuracy"}).encode()
    task = json.dumps({"task": "classification", "classes": ["a", "b"], "precision": "fp32",
                       "modality": "text"}).encode()
    whole = {"model.safetensors": WHOLE, "plan.json": plan, "task.json": task}
    listed = {name: hashlib.sha256(content).hexdigest() for name, content in whole.items()}
    evil: dict[str, tuple[dict[str, bytes], dict[str, str]]] = {
        "leads_out": ({}, {"../../make.py": "0" * 64}),
        "leads_out_backwards": ({}, {"..\\..\\make.py": "0" * 64}),
        "absolute": ({}, {"/etc/passwd": "0" * 64}),
        "escaped": ({}, {"..%2f..%2fmake.py": "0" * 64}),
        "device": ({}, {"CON": "0" * 64}),
        "one_file_twice": ({}, {"Plan.json": listed["plan.json"]}),
        "pickle_for_weights": (
            {"model.safetensors": PICKLE},
            {"model.safetensors": hashlib.sha256(PICKLE).hexdigest()},
        ),
    }
    found = {}
    for name, (files, more) in evil.items():
        for path, content in {**whole, **files}.items():
            found[f"versions/{name}/{path}"] = content
        facts = {"name": "evil", "number": 1, "files": {**listed, **more}}
        found[f"versions/{name}/version.json"] = json.dumps(facts).encode()
    return found


def data() -> dict[str, bytes]:
    """Files given as rows."""
    inner = zipped(**{"rows.csv": b"text,label\na,b\n"})
    return {
        "data/leads_out.zip": zipped(**{"../../canary": b"", "rows.csv": b"text,label\n"}),
        "data/absolute.zip": zipped(**{"/tmp/canary": b""}),
        "data/nested.zip": zipped(**{"a.zip": inner, "b.zip": zipped(**{"c.zip": inner})}),
        "data/leads_out.tar": tarred(("../../canary", b"", "")),
        "data/link_then_write.tar": tarred(("out", b"", "/tmp"), ("out/canary", b"", "")),
        "data/zip_called_csv.csv": zipped(**{"../canary": b""}),
        "data/pickle_called_csv.csv": PICKLE,
        "data/pickle_called_parquet.parquet": PICKLE,
        "data/bomb.csv.gz": gzip.compress(b"text,label\n" + b"a" * 150_000_000, 9, mtime=0),
        "data/code.py": CODE,
    }


def make(folder: Path) -> None:
    """Every file, below this folder."""
    for name, content in {**models(), **versions(), **data()}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
