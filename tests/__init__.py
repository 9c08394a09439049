"""The project's tests; `python -m tests` runs them with all other checks."""
