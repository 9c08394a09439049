"""What the inputs of a batch name: files, folders, patterns, lists and manifests, clip by clip.

Whatever is wrong with a name on the command line or in a manifest is told before the first clip;
behind that, nothing waits for the whole: folders are listed and lists are read as their turn comes.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import chain

from pllava_cli import inputs
from pllava_cli.batch import globs, lists
from pllava_cli.batch.manifest import Manifests
from pllava_cli.batch.naming import MANIFEST_SUFFIXES, VIDEO_SUFFIXES, is_wanted, suffix
from pllava_cli.batch.walking import Walker, Warn, leads_to_folder
from pllava_cli.batch.work import Work
from pllava_cli.errors import UsageError
from pllava_cli.phrases import counted

_MOST_NAMED = 3


def find(
    paths: Sequence[str],
    *,
    warn: Warn,
    from_files: Sequence[str] = (),
    nul: bool = False,
    recursive: bool = True,
) -> Iterator[Work]:
    """Find what is asked for, in the order in which it is named.

    Args:
        paths: Files, taken whatever their suffix; folders, of which known suffixes are taken; patterns,
            if no file has that name; manifests, by the suffixes .jsonl, .ndjson, .csv and .tsv.
        warn: Told, in one line, of what is passed over: folders that cannot be listed, clips met twice.
        from_files: Files that name clips and folders, or manifests; `-` is standard input.
        nul: Whether names in lists end in NUL bytes.
        recursive: Whether folders within folders are looked into.

    Returns:
        Works, made as they are asked for. No file is met twice, except by manifests.

    Raises:
        UsageError: A name leads to nothing, a manifest cannot be used, or there is no clip at all. A list
            that turns out to be none raises it only while the works are taken.
    """
    if not paths and not from_files:
        raise UsageError("no clip is named", "name files, folders or patterns, or a list with --from-file")
    finder = _Finder(warn, nul=nul, recursive=recursive)
    sources = [finder.named(path) for path in paths] + [finder.listed(file) for file in from_files]
    works = chain.from_iterable(sources)
    first = next(works, None)
    if first is None:
        raise _nothing([*paths, *from_files], recursive=recursive)
    return finder.telling(chain([first], works))


class _Finder:
    """Turns each input into works; one for a run, so that it knows what was met."""

    def __init__(self, warn: Warn, *, nul: bool, recursive: bool) -> None:
        self._warn = warn
        self._nul = nul
        self._walker = Walker(recursive=recursive, warn=warn)
        self._manifests = Manifests(warn)

    def named(self, text: str) -> Iterator[Work]:
        """Return the works that a word of the command line asks for."""
        if leads_to_folder(text):
            _check_folder(text)
            return self._walker.folder(text)
        if globs.is_pattern(text) and not inputs.is_address(text) and not os.path.lexists(text):
            return self._matching(text)
        if suffix(text) in MANIFEST_SUFFIXES:
            return self._manifests.read(text)
        inputs.check_clip(text)
        return self._walker.file(text)

    def listed(self, file: str) -> Iterator[Work]:
        """Return the works that a list asks for."""
        if suffix(file) in MANIFEST_SUFFIXES:
            return self._manifests.read(file)
        names = lists.names(file, nul=self._nul)
        return chain.from_iterable(
            self._walker.folder(name) if leads_to_folder(name) else self._walker.file(name) for name in names
        )

    def telling(self, works: Iterator[Work]) -> Iterator[Work]:
        """Pass works on, and say at the end how many names led to a file that was met before."""
        yield from works
        count = self._walker.repeated
        if count:
            names = counted(count, "name leads", "names lead")
            self._warn(
                f"{names} to a file that was met before, and is taken once: {self._walker.first_repeated}"
            )

    def _matching(self, pattern: str) -> Iterator[Work]:
        """Return the works of a pattern.

        `*` takes known suffixes only, `*.dat` takes what it says. A folder that matches is walked, as if
        the shell had named it, unless `**` leads into it anyway.
        """
        matches = globs.expand(pattern, self._warn)
        first = next(matches, None)
        if first is None:
            raise UsageError(
                f"there is no file {pattern}, and as a pattern it matches none", "check the name"
            )
        ending = globs.literal_suffix(pattern)
        if ending in MANIFEST_SUFFIXES:
            return chain.from_iterable([self.named(match) for match in chain([first], matches)])
        return self._matched(chain([first], matches), any_suffix=bool(ending), is_deep=globs.is_deep(pattern))

    def _matched(self, matches: Iterator[str], *, any_suffix: bool, is_deep: bool) -> Iterator[Work]:
        for match in matches:
            if leads_to_folder(match):
                if not is_deep:
                    yield from self._walker.folder(match)
            elif any_suffix or is_wanted(os.path.basename(match)):  # noqa: PTH119 (a last / is no name)
                yield from self._walker.file(match)


def _check_folder(path: str) -> None:
    try:
        os.scandir(path).close()
    except OSError as error:
        raise UsageError(
            f"cannot read the folder {path}: {error.strerror or error}", "check its permissions"
        ) from None


def _nothing(names: Sequence[str], *, recursive: bool) -> UsageError:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    where = ", ".join(names[:_MOST_NAMED]) + more
    shallow = "" if recursive else "; folders within folders were not looked into"
    return UsageError(
        f"nothing to do: there is no clip in {where}",
        f"folders are searched for {' '.join(sorted(VIDEO_SUFFIXES))}; name any other file itself{shallow}",
    )
