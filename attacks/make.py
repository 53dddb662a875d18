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
import zlib
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


def png(width: int, height: int) -> bytes:
    """A PNG that says that it is so large, with hardly any pixels."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(
        b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def onnx_with_weights_in(place: str) -> bytes:
    """An ONNX file whose one tensor lies in another file: protobuf, written by hand."""
    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    entry = field(1, b"location") + field(2, place.encode())
    tensor = b"\x08\x04\x10\x01" + field(8, b"w") + field(13, entry) + b"\x70\x01"
    graph = field(2, b"g") + field(5, tensor)
    return b"\x08\x0a" + field(7, graph)


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
        "onnx_elsewhere": {"model.onnx": onnx_with_weights_in("../../../../../etc/passwd")},
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


def pictures() -> dict[str, bytes]:
    """Files given as pictures."""
    return {
        "pictures/bomb.png": png(12_000, 12_000),
        "pictures/bomb_of_one_line.png": png(60_000, 1),
        "pictures/largest.png": png(2**31 - 1, 2**31 - 1),
        "pictures/bomb.gif": b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(3) + b"\x3b",
        "pictures/script.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>x</script></svg>",
        "pictures/script.png": b"<svg xmlns='http://www.w3.org/2000/svg'><script>x</script></svg>",
        "pictures/postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
                                   b"(%pipe%touch " + CANARY.encode() + b") (w) file\n%%EOF\n",
        "pictures/pickle.png": PICKLE,
        "pictures/zip.png": zipped(**{"../canary": b""}),
        "pictures/empty.png": b"",
    }


def labels() -> dict[str, bytes]:
    """Files given as labels that came back."""
    return {
        "labels/nested.json": b"[" * 100_000,
        "labels/nested_inside.json": b'[{"data": ' + b'{"a": ' * 100_000,
        "labels/no_tasks.json": b'{"__class__": "os.system"}',
        "labels/pickle.json": PICKLE,
        "labels/pickle.csv": PICKLE,
        "labels/two_choices.json": json.dumps([{
            "data": {"fettle_id": "1", "text": "a"},
            "annotations": [{"result": [{"type": "choices", "from_name": "label",
                                         "value": {"choices": ["a", "b"]}}]}],
        }]).encode(),
        "labels/column_twice.csv": b"fettle_id,label,label\n1,a,b\n",
    }


def make(folder: Path) -> None:
    """Every file, below this folder."""
    every = {**models(), **versions(), **data(), **pictures(), **labels()}
    for name, content in every.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
