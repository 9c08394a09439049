"""How a judge is asked unless somebody says otherwise.

Apart from the judge itself, which `--help` tells these of without loading it.
"""

AT_ONCE = 8
"""Questions under way at the same time."""
TIMEOUT_S = 120.0
"""Seconds that one question may take."""
RETRIES = 5
"""How often one question is asked again if the line or the server fails."""
MAX_TOKENS = 64
"""Of a reply: three times what the longest verdict takes."""
