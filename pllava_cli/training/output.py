"""What a written checkpoint has beside its weights, and files that are whole or not there.

Libraries say in ways of their own that a file could not be written; here they become one error.
"""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from pllava_cli.errors import UsageError
from pllava_cli.loader import PROMPT_TEMPLATE, Checked
from pllava_cli.model.jsonfile import check_readable, read_json

CONFIG = "config.json"
FILES = (
    "tokenizer.json",
    "added_tokens.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "preprocessor_config.json",
    "generation_config.json",
)
"""What is taken over as it is; an adapter has it too, so that it needs its base for weights only."""
_TORCH_WRITER = re.compile("PytorchStreamWriter|inline_container|iostream error")
"""What torch's errors name when a file could not be written; they do not say why."""
_PROBE_BYTES = 1 << 20


def write_description(folder: Path, checked: Checked) -> None:
    """Write the configuration, with the frames, pooling and template now used, and what makes inputs."""
    config, template = checked.prepared.model.config, checked.checkpoint.template
    raw = read_json(checked.folder / CONFIG) | {
        "num_frames": config.num_frames,
        "pooling_shape": list(config.pooling_shape),
    }
    if template is not None:  # else told from the tokenizer, of the output as of the base
        raw[PROMPT_TEMPLATE] = template
    write_whole(folder / CONFIG, json.dumps(raw, indent=2) + "\n")
    for found in taken_over(checked):
        shutil.copyfile(found, folder / found.name)


def taken_over(checked: Checked) -> list[Path]:
    """What a written checkpoint takes over as it is.

    Raises:
        CheckpointError: A file of it, which perhaps nothing else reads, is none or closed to this user.
    """
    sources = [source for source in (checked.folder, checked.base) if source is not None]
    files = [[source / name for source in sources if (source / name).exists()] for name in FILES]
    found = [there[0] for there in files if there]
    for file in found:
        check_readable(file)
    return found


def write_whole(file: Path, text: str) -> None:
    """Write a file so that a kill leaves the old one or the new one."""
    partial = partial_name(file)
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(file)


def partial_name(file: Path) -> Path:
    """What a file is called while it is written."""
    return file.with_name(file.name + ".partial")


@contextmanager
def writing(folder: Path, cure: str, named: Path | None = None) -> Iterator[None]:
    """Tell in one way that a folder could not be written, whoever wrote it.

    Args:
        folder: What is written, or where; errors about other places pass as they are, but for a full disk.
        cure: The hint.
        named: What the message names; None: the folder, or what is in it.

    Raises:
        UsageError: It could not.
    """
    try:
        yield
    except SafetensorError as error:
        found = re.search(r"\(os error (\d+)\)", str(error))
        if found is None:  # nothing was written
            raise
        raise _refused(named or folder, os.strerror(int(found[1])), cure) from None
    except RuntimeError as error:
        if not _TORCH_WRITER.search(str(error)):
            raise
        raise _refused(named or folder, _why_not(folder), cure) from None
    except OSError as error:
        is_inside = isinstance(error.filename, str | Path) and Path(error.filename).is_relative_to(folder)
        if not is_inside and error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        place = Path(error.filename) if is_inside else folder
        raise _refused(named or place, error.strerror or str(error), cure) from None


def _refused(place: Path, reason: str, cure: str) -> UsageError:
    return UsageError(f"cannot write {place}: {reason[:1].lower()}{reason[1:]}", cure)


def _why_not(folder: Path) -> str:
    """The system's reason for refusing to write, found by writing."""
    probe = folder / "probe.partial"
    try:
        probe.write_bytes(bytes(_PROBE_BYTES))
    except OSError as error:
        return error.strerror or str(error)
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return "a file of it could not be written whole"
