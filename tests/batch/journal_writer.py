"""Appends records to a journal until it is killed, each number on stdout once its record is safe.

python -m tests.batch.journal_writer JOURNAL COUNT
"""

import sys
from pathlib import Path

from pllava_cli.batch.journal import Journal
from pllava_cli.errors import PllavaError
from pllava_cli.recordkey import Key
from tests.batch.made import record


def main(file: str, count: str) -> None:
    try:
        with Journal.open(Path(file)) as journal:
            print("open", flush=True)
            for number in range(int(count)):
                made = record(number, text=f"{number} " + "words " * (number % 50 * 40))
                if journal.state(Key.of(made)) != "done":
                    journal.append(made)
                    print(number, flush=True)
    except PllavaError as error:
        sys.exit(f"{error.message} | {error.hint}")


if __name__ == "__main__":
    main(*sys.argv[1:])
