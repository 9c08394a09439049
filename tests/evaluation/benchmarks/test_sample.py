"""A sample of a benchmark: what is drawn together, and again."""

from dataclasses import replace
from pathlib import Path

from pllava_cli.evaluation.benchmarks.sample import Sample
from pllava_cli.evaluation.items import Benchmark, Item, Manner


def item(number: int, clip: str = "a.mp4", prompt: str = "Who?", **changes: object) -> Item:
    made = Item(f"task/{number}", "task", Path(clip), prompt, "(A)", prompt)
    return replace(made, **changes)  # type: ignore[arg-type]


def benchmark(*items: Item) -> Benchmark:
    return Benchmark("mc", items, Manner("Look."))


class TestSample:
    WHOLE = benchmark(*(item(n, group=f"g{n % 3}", id=f"g{n % 3}/{n}") for n in range(60)))

    def test_it_takes_as_many_of_each_group_in_their_order(self) -> None:
        part = Sample(5, 0).draw(self.WHOLE)
        places = [self.WHOLE.items.index(each) for each in part.items]
        assert places == sorted(places) and len(places) == 15
        assert {name: sum(each.group == name for each in part.items) for name in ("g0", "g1", "g2")} == {
            "g0": 5,
            "g1": 5,
            "g2": 5,
        }

    def test_it_is_the_same_again_and_another_by_another_seed(self) -> None:
        assert Sample(5, 0).draw(self.WHOLE) == Sample(5, 0).draw(self.WHOLE)
        assert Sample(5, 0).draw(self.WHOLE).items != Sample(5, 1).draw(self.WHOLE).items

    def test_groups_do_not_depend_on_each_other(self) -> None:
        one = benchmark(*(each for each in self.WHOLE.items if each.group == "g1"))
        drawn = [each for each in Sample(5, 3).draw(self.WHOLE).items if each.group == "g1"]
        assert list(Sample(5, 3).draw(one).items) == drawn

    def test_a_small_group_is_taken_whole(self) -> None:
        part = Sample(500, 0).draw(self.WHOLE)
        assert part.items == list(self.WHOLE.items)
        assert "60 of 60 questions" in part.notes[0]

    def test_what_belongs_together_is_drawn_together(self) -> None:
        pairs = benchmark(
            *(item(n, id=f"task/{n}/{half}", prompt=f"{n} {half}") for n in range(20) for half in (1, 2))
        )
        part = Sample(4, 0).draw(pairs, lambda each: each.id.rpartition("/")[0])
        entries = [each.id.rpartition("/")[0] for each in part.items]
        assert len(entries) == 8 and len(set(entries)) == 4
