"""One file per question of speed or memory, each run by one command; see RESULTS.md."""
