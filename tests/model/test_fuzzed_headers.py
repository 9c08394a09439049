"""Headers of safetensors damaged at random: each file loads, or ends in one error; nothing crashes.

The seeds are fixed, so that a failure can be had again: it is named by the number of its mutation.
"""

import json
import struct
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import save

from pllava_cli.errors import CheckpointError
from pllava_cli.model.tensors import TensorReader, list_tensors

MUTATIONS = 400
KINDS = [
    "F64",
    "F32",
    "F16",
    "BF16",
    "I64",
    "I32",
    "I16",
    "I8",
    "U8",
    "U16",
    "BOOL",
    "F8_E4M3",
    "F4",
    "C64",
    "x",
]
ODD = [-1, 0, 1, 7, 1 << 31, 1 << 63, 1 << 64, 1 << 200, 0.5, None, "1", [], {}, True]


@pytest.fixture(scope="module")
def whole() -> tuple[bytes, bytes]:
    """Header and data of a small file."""
    tensors = {
        "a.weight": torch.ones(2, 3),
        "b.weight": torch.ones(4, dtype=torch.bfloat16),
        "c": torch.ones(1),
    }
    data = save(tensors, {"format": "pt"})
    end = 8 + struct.unpack("<Q", data[:8])[0]
    return data[8:end], data[end:]


def file_of(header: bytes, data: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def damaged_bytes(header: bytes, data: bytes, random: Random) -> bytes:
    """One to four bytes changed, lost or put in, and perhaps another length."""
    changed = bytearray(header)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(changed))
        match random.randrange(4):
            case 0:
                changed[at] = random.randrange(256)
            case 1:
                changed[at] ^= 1 << random.randrange(8)
            case 2:
                del changed[at]
            case _:
                changed.insert(at, random.choice(b'0123456789{}[]",:-eE \\\x00\xff'))
    length = random.choice([None] * 8 + [0, 1, 7, len(changed) * 2, (1 << 62) + 1, (1 << 64) - 1])
    return file_of(bytes(changed), data, length)


def damaged_values(header: bytes, data: bytes, random: Random) -> bytes:
    """Well-formed JSON that says something else: kinds, shapes, offsets, names."""
    content = json.loads(header)
    name = random.choice([key for key in content if key != "__metadata__"])
    entry = content[name]
    match random.randrange(7):
        case 0:
            entry["dtype"] = random.choice(KINDS)
        case 1:
            entry["shape"] = [random.choice(ODD) for _ in range(random.randint(0, 4))]
        case 2:
            entry["data_offsets"] = [random.choice(ODD) for _ in range(random.randint(0, 3))]
        case 3:
            entry[random.choice(["dtype", "shape", "data_offsets"])] = random.choice(ODD)
        case 4:
            del entry[random.choice(list(entry))]
        case 5:
            content[random.choice(["", "\0", "x" * 5000, "\ud800", "a" + name])] = content.pop(name)
        case _:
            content[name] = random.choice(ODD)
    return file_of(json.dumps(content).encode(), data)


@pytest.mark.parametrize("damage", [damaged_bytes, damaged_values], ids=["bytes", "values"])
def test_each_loads_or_is_a_checkpoint_error(
    damage: object, whole: tuple[bytes, bytes], tmp_path: Path
) -> None:
    assert callable(damage)
    file, loaded, refused = tmp_path / "model.safetensors", 0, 0
    for number in range(MUTATIONS):
        file.write_bytes(damage(*whole, Random(number)))
        try:
            reader = TensorReader()
            for stored in list_tensors(tmp_path):
                tensor = reader.read(stored)
                assert tuple(tensor.shape) == stored.shape, number
            loaded += 1
        except CheckpointError as error:
            refused += 1
            assert "model.safetensors" in error.message, number
            assert "\n" not in error.message, number
        except Exception as error:
            raise AssertionError(f"mutation {number}: {error!r}") from error
    assert loaded + refused == MUTATIONS
    assert refused > MUTATIONS / 2


def test_index_damaged_at_random(tmp_path: Path) -> None:
    """Of two shards and an index: it loads both as they are, or is refused."""
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(save({f"{number}.weight": torch.ones(2)}))
    index = tmp_path / "model.safetensors.index.json"
    text = json.dumps({"metadata": {}, "weight_map": {f"{i}.weight": name for i, name in enumerate(names)}})
    refused = 0
    for seed in range(MUTATIONS):
        random, changed = Random(seed), bytearray(text.encode())
        for _ in range(random.randint(1, 3)):
            changed[random.randrange(len(changed))] = random.choice(b'019/.\\"{}[]:, wx\x00\xff')
        index.write_bytes(bytes(changed))
        try:
            found = list_tensors(tmp_path)
            assert {stored.file.parent for stored in found} <= {tmp_path}, seed
            assert {stored.file.name for stored in found} <= set(names), seed
        except CheckpointError as error:
            refused += 1
            assert "\n" not in error.message, seed
        except Exception as error:
            raise AssertionError(f"mutation {seed}: {error!r}") from error
    assert refused > MUTATIONS / 2
