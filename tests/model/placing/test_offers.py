"""Where memory or a GPU is lacking: what is said, and the options that are offered."""

from dataclasses import replace
from typing import Any

import pytest

from pllava_cli.errors import DeviceError
from pllava_cli.model import cpu as cpu_module
from pllava_cli.model.footprint import Footprint
from pllava_cli.model.offers import Offer
from pllava_cli.model.placing import choose
from tests.model.placing.conftest import GB, SEVEN_B, Machine, chosen


class TestTooLittleMemory:
    @pytest.mark.parametrize("asked", [{"quantize": "none"}, {"quantize": "8bit"}], ids=str)
    def test_option_that_fits_is_named(self, asked: dict[str, str], machine: Machine) -> None:
        machine.has(cpu=8)
        with pytest.raises(DeviceError, match=r"cpu has 8\.0 GB free") as caught:
            choose(SEVEN_B, **asked)
        assert caught.value.status == 6
        assert caught.value.hint == "use --quantize 4bit"
        assert chosen(quantize="4bit") == ("cpu", "bf16", "4bit")  # and it does fit

    def test_precision_that_fits_is_named(self, machine: Machine) -> None:
        machine.has(cpu=25)
        with pytest.raises(DeviceError, match=r"31\.5 GB in fp32; cpu has 25\.0 GB free") as caught:
            choose(SEVEN_B, dtype="fp32", quantize="none")
        assert caught.value.hint.startswith("use --quantize 4bit")

    def test_nothing_fits(self, machine: Machine) -> None:
        machine.has(3, 2)
        with pytest.raises(
            DeviceError, match=r"about 6\.1 GB in 4bit \(bf16\); cuda:0 has 2\.0 GB free"
        ) as caught:
            choose(SEVEN_B)
        assert caught.value.hint.startswith("use a smaller checkpoint, or free memory")
        assert "\n" not in caught.value.message + caught.value.hint

    def test_some_memory_is_left_to_the_libraries(self, machine: Machine) -> None:
        need = SEVEN_B.bytes("bf16", "4bit") / GB
        machine.has(cpu=need * 1.05)
        with pytest.raises(DeviceError):
            choose(SEVEN_B)
        machine.has(cpu=need * 1.12)
        assert chosen() == ("cpu", "bf16", "4bit")

    def test_gpu_that_is_too_small_where_the_cpu_is_not(self, machine: Machine) -> None:
        machine.has(64, 4)
        with pytest.raises(DeviceError, match=r"cuda:0 has 4\.0 GB free") as caught:
            choose(SEVEN_B, "cuda")
        assert caught.value.hint.startswith("use --device cpu")
        assert chosen(device="cpu") == ("cpu", "fp32", "none")  # and it does fit

    def test_nothing_need_fit_where_nothing_is_run(self, machine: Machine) -> None:
        machine.has(3)
        plan = choose(SEVEN_B, quantize="4bit", must_fit=False)
        assert (plan.dtype, plan.quantize) == ("bf16", "4bit")


class TestOffers:
    """What the hint of an error names: it fits, and nothing that is named before it would."""

    FAST = Offer("--preset fast", Footprint(6_476_000_000, 587_000_000, 100_000_000))
    SMALLER = Offer("--model small", Footprint(1_000_000_000, 0, 0))

    @pytest.mark.parametrize(
        ("free_gb", "asked", "hint"),
        [
            (16.5, {"dtype": "bf16", "quantize": "none"}, "use --quantize 4bit"),
            (6.0, {"dtype": "bf16", "quantize": "none"}, "use --quantize 4bit --preset fast"),
            (6.0, {}, "use --preset fast"),
            (5.9, {"dtype": "bf16", "quantize": "8bit"}, "use --quantize 4bit --preset fast"),
            (4.0, {}, "use --model small"),
            (4.0, {"quantize": "8bit"}, "use --model small"),
            (2.0, {"quantize": "8bit"}, "use --model small"),
            (1.0, {"quantize": "8bit"}, "use --quantize 4bit --model small"),
        ],
    )
    def test_first_that_fits(
        self, free_gb: float, asked: dict[str, str], hint: str, machine: Machine
    ) -> None:
        machine.has(cpu=free_gb)
        with pytest.raises(DeviceError) as caught:
            choose(SEVEN_B, **asked, offers=(self.FAST, self.SMALLER))
        assert caught.value.hint == hint

    @pytest.mark.parametrize(
        ("free_gb", "named", "hint"),
        [
            (16.5, ("device", "quantize"), "use --quantize 4bit"),
            (16.5, ("device",), "use a smaller checkpoint, or free memory"),
            (6.0, (), "use a smaller checkpoint, or free memory"),
        ],
        ids=str,
    )
    def test_no_option_is_named_that_the_user_has_not(
        self, free_gb: float, named: tuple[str, ...], hint: str, machine: Machine
    ) -> None:
        machine.has(cpu=free_gb)
        with pytest.raises(DeviceError) as caught:
            choose(SEVEN_B, dtype="bf16", quantize="none", named=set(named))
        assert caught.value.hint.startswith(hint)
        machine.has(64, 4)
        with pytest.raises(DeviceError) as caught:
            choose(SEVEN_B, "cuda", "bf16", "none", named=set(named))
        assert ("--device cpu" in caught.value.hint) is ("device" in named)

    def test_what_is_kept_in_eight_bits_beside_counts_for_them_too(self, machine: Machine) -> None:
        """The fast preset takes 14.3 GB in bf16, and 6.5 more of the language model in 8 bits."""
        fast = Offer("--preset fast", replace(SEVEN_B, working=100_000_000))
        here: dict[str, Any] = {"dtype": "bf16", "quantize": "none", "offers": (fast,), "named": {"preset"}}
        for free_gb, encode, hint in (
            (16.5, "exact", "use --preset fast"),
            (16.5, "int8", "use a smaller checkpoint, or free memory"),
            (23.3, "int8", "use --encode exact"),
        ):
            machine.has(free_gb)
            with pytest.raises(DeviceError) as caught:
                choose(SEVEN_B, encode=encode, **here)
            assert caught.value.hint.startswith(hint)

    def test_nothing_is_packed_without_bitsandbytes(self, machine: Machine) -> None:
        machine.has(cpu=6, packing=False)
        with pytest.raises(DeviceError) as caught:
            choose(SEVEN_B, offers=(self.FAST, self.SMALLER))
        assert caught.value.hint == "use --model small"


class TestCpuInTheGpusPlace:
    SLOW = Footprint(6_476_000_000, 587_000_000, 800_000_000, products=20_000_000_000_000)

    @pytest.fixture(autouse=True)
    def rate(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cpu_module, "rate", lambda dtype, product: 4e11)

    @pytest.mark.parametrize(
        ("cuda", "why"), [((), "no CUDA device here"), ((2.0,), "nothing fits on a GPU")], ids=str
    )
    def test_time_is_told(self, cuda: tuple[float, ...], why: str, machine: Machine) -> None:
        machine.has(64, *cuda)
        plan = choose(self.SLOW)
        assert plan.device == "cpu"
        assert plan.reasons[0] == f"{why}: running on the CPU"
        (warning,) = plan.warnings  # 2 * 2e13 operations at half of 4e11 a second
        assert warning == f"{why}: running on the CPU: a clip takes at least 3 minutes"

    @pytest.mark.parametrize(
        ("products", "more"),
        [
            ((20, 5), "; --number-1 takes 25 % of that"),
            ((6,), "; --number-0 takes 30 % of that"),
            ((19, None), ""),  # hardly less; and another checkpoint, whose work is not known
            ((), ""),
        ],
        ids=str,
    )
    def test_option_is_named_only_if_it_takes_less(
        self, products: tuple[int | None, ...], more: str, machine: Machine
    ) -> None:
        machine.has(64)
        offers = [
            Offer(f"--number-{number}", self.SLOW, each and each * 10**12)
            for number, each in enumerate(products)
        ]
        (warning,) = choose(self.SLOW, offers=offers).warnings
        assert warning.endswith(f"at least 3 minutes{more}")

    def test_not_to_who_chose_the_cpu(self, machine: Machine) -> None:
        machine.has(64)
        assert choose(self.SLOW, "cpu").warnings == ()

    def test_not_of_a_small_model(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor is anything measured for it."""
        monkeypatch.setattr(cpu_module, "rate", None)
        machine.has(64)
        assert choose(Footprint(10**7, 10**6, 10**6, products=10**10)).warnings == ()

    def test_gpu_with_room_is_taken(self, machine: Machine) -> None:
        machine.has(64, 20)
        assert choose(self.SLOW).device == "cuda:0"
        assert choose(self.SLOW).warnings == ()
