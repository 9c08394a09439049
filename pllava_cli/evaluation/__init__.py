"""The paper's benchmarks: reading them, putting them to a checkpoint, judging and reporting what it said.

A run goes through these rooms, in this order:

- `benchmarks`: reads what is asked, one module a benchmark;
- `answering`: puts it to a checkpoint, and finds the answers again;
- `judging`: has a language model say how good open answers are;
- `scoring`: makes figures of the answers, one module a benchmark;
- `report`: shows the figures, beside those that the paper prints.

`items` is the language that all of them speak, `asked` knows which benchmark goes which way, `rundir` is
the folder that a run leaves, and `reading` opens files of JSON.
"""
