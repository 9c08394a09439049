"""Run the command line with the fake engine in a process of its own: `python -m tests.commands.entry`.

The script is JSON in the variable FAKE_SCRIPT: `answers`, `pause_s`, and so on.
"""

import json
import os

from tests.commands import fake

if __name__ == "__main__":
    script = fake.Script(**json.loads(os.environ.get("FAKE_SCRIPT", '{"answers": ["A bird."]}')))
    fake.install(script)
    from pllava_cli.__main__ import main

    main()
