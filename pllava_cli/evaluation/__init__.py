"""The paper's benchmarks: reading them, putting them to a checkpoint, judging and reporting what it said."""
