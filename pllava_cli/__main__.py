"""`python -m pllava_cli`, and what the `pllava` command calls."""

import sys


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        from pllava_cli.app import main as run

        status = run()
    except KeyboardInterrupt:  # before or after the run, which handles its own
        status = 130
    # CPython notes an interrupt that passed through an exec(), as in some library's import, as unhandled
    # and would end us by SIGINT in place of our status. Another exec() clears the note.
    exec("")
    sys.exit(status)


if __name__ == "__main__":
    main()
