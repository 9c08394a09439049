"""The choice of device, precision and quantisation: what is asked, what fits, and why."""

from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.random_checkpoint import SHAPES, config
from pllava_cli.errors import DeviceError, ExitStatus, UsageError
from pllava_cli.model import cpu as cpu_module
from pllava_cli.model import device as device_module
from pllava_cli.model.config import PllavaConfig, read_config
from pllava_cli.model.device import DeviceInfo
from pllava_cli.model.empty import empty_model, shapes_of
from pllava_cli.model.footprint import Footprint, footprint, footprint_of
from pllava_cli.model.offers import Offer
from pllava_cli.model.placing import choose
from pllava_cli.model.quantization import quantizable

GB = 1_000_000_000
SEVEN_B = Footprint(quantizable=6_476_000_000, other=587_000_000, working=800_000_000)
"""About 31.5 GB in fp32, 15.7 in bf16, 6.1 in 4 bits."""


def config_of(name: str, pooling_shape: tuple[int, int, int] | None = None) -> PllavaConfig:
    return read_config(dict(config(SHAPES[name])), None, pooling_shape)


class Machine:
    """A machine of the test's making; free memory in GB."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def has(
        self,
        cpu: float,
        *cuda: float,
        bf16_units: bool = False,
        packing: bool = True,
        times_of_fp32: float | None = None,
        eight_bits: bool = False,
    ) -> None:
        """`times_of_fp32`: of a product in 16 bits; `None`: half with units for it, twice without."""
        found = [DeviceInfo("cuda", f"GPU {i}", 80 * GB, int(free * GB)) for i, free in enumerate(cuda)]
        found.append(DeviceInfo("cpu", "2 threads", 64 * GB, int(cpu * GB)))
        self._patch.setattr(device_module, "devices", lambda: found)
        self._patch.setattr(device_module, "DRIVER", Path("no driver"))
        self._patch.setattr(cpu_module, "has_bf16_units", lambda: bf16_units)
        times = times_of_fp32 or (0.5 if bf16_units else 2.0)
        self._patch.setattr(cpu_module, "times_of_fp32", lambda dtype, layer: times)
        self._patch.setattr(cpu_module, "suits_eight_bits", lambda layer: eight_bits)
        backend = (packing, "bitsandbytes 1.0" if packing else "bitsandbytes is not installed")
        self._patch.setattr(device_module, "quantization_backend", lambda: backend)
        self._patch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: True)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def chosen(**options: str) -> tuple[str, str, str]:
    plan = choose(SEVEN_B, **options)
    assert plan.reasons
    assert not any("\n" in reason for reason in plan.reasons)
    return plan.device, plan.dtype, plan.quantize


class TestAuto:
    @pytest.mark.parametrize(
        ("free_gb", "wanted"),
        [
            (64, ("cpu", "fp32", "none")),
            (30, ("cpu", "bf16", "none")),
            (15, ("cpu", "fp32", "4bit")),
            (8, ("cpu", "bf16", "4bit")),
        ],
    )
    def test_best_that_fits_on_a_cpu(self, free_gb: float, wanted: Any, machine: Machine) -> None:
        machine.has(cpu=free_gb)
        assert chosen() == wanted

    def test_cpu_with_bf16_units_takes_bf16(self, machine: Machine) -> None:
        machine.has(cpu=64, bf16_units=True)
        assert chosen() == ("cpu", "bf16", "none")

    @pytest.mark.parametrize(
        ("bf16_units", "times_of_fp32", "wanted"),
        [
            (True, 0.3, "bf16"),
            (True, 1.2, "bf16"),  # no clear gain: what the units say
            (True, 1.4, "fp32"),
            (True, 1.7, "fp32"),
            (False, 2.0, "fp32"),
            (False, 0.9, "fp32"),
            (False, 0.7, "bf16"),
        ],
    )
    def test_measurement_overrules_the_units_where_it_is_clear(
        self, bf16_units: bool, times_of_fp32: float, wanted: str, machine: Machine
    ) -> None:
        machine.has(64, bf16_units=bf16_units, times_of_fp32=times_of_fp32)
        assert chosen() == ("cpu", wanted, "none")
        for asked in ("fp32", "bf16", "fp16"):
            assert chosen(dtype=asked) == ("cpu", asked, "none")

    @pytest.mark.parametrize(
        ("times_of_fp32", "reason"),
        [
            (1.71, "the CPU multiplies fp32 1.7 times as fast as bf16"),
            (0.4, "the CPU multiplies bf16 2.5 times as fast as fp32"),
        ],
    )
    def test_measurement_is_told(self, times_of_fp32: float, reason: str, machine: Machine) -> None:
        machine.has(64, bf16_units=True, times_of_fp32=times_of_fp32)
        assert reason in choose(SEVEN_B).reasons

    @pytest.mark.parametrize(
        ("eight_bits", "quantize", "encode", "wanted"),
        [
            (True, "none", "auto", "fp32"),
            (True, "4bit", "auto", "int8"),
            (True, "8bit", "auto", "int8"),
            (True, "4bit", "exact", "fp32"),
            (False, "4bit", "auto", "fp32"),
            (False, "4bit", "int8", "int8"),
            (True, "none", "int8", "int8"),
        ],
    )
    def test_many_rows_are_rounded_where_the_weights_are(
        self, eight_bits: bool, quantize: str, encode: str, wanted: str, machine: Machine
    ) -> None:
        machine.has(64, eight_bits=eight_bits)
        plan = choose(SEVEN_B, quantize=quantize, encode=encode)
        assert plan.many_rows == wanted
        assert any("int8" in reason for reason in plan.reasons) == (wanted == "int8")

    def test_what_is_kept_in_eight_bits_beside_counts(self, machine: Machine) -> None:
        """6.5 billion weights of the language model, unless they are packed, and 0.3 of the vision tower."""
        machine.has(20, 1)
        need, here = replace(SEVEN_B, seen_by=290_000_000), {"device": "cpu", "dtype": "bf16"}
        assert choose(need, **here, quantize="none", encode="exact").quantize == "none"
        with pytest.raises(DeviceError, match=r"needs about 22\.5 GB") as caught:
            choose(need, **here, quantize="none", encode="int8")
        assert caught.value.hint == "use --encode exact"
        assert choose(need, **here, encode="int8").quantize == "4bit"

    @pytest.mark.parametrize(
        ("free_gb", "wanted"),
        [
            (7.2, ("bf16", "int8")),
            (6.95, ("bf16", "fp32")),  # for the weights alone
        ],
    )
    def test_of_itself_it_is_kept_only_where_there_is_room(
        self, free_gb: float, wanted: tuple[str, str], machine: Machine
    ) -> None:
        """The model takes 6.14 GB in 4 bits, and 0.29 more of the vision tower."""
        machine.has(free_gb, eight_bits=True)
        plan = choose(replace(SEVEN_B, seen_by=290_000_000), quantize="4bit")
        assert (plan.dtype, plan.many_rows) == wanted
        is_rounded = wanted[1] == "int8"
        told = "for which the CPU has units" if is_rounded else "there is too little memory to multiply"
        assert told in plan.reasons[-2]
        fits = "4bit (bf16) with int8 fits: 6.4 GB of 6.5 GB" if is_rounded else "4bit (bf16) fits: 6.1 GB of"
        assert fits in plan.reasons[-1]

    def test_what_fits_without_is_no_error(self, machine: Machine) -> None:
        machine.has(6, eight_bits=True)
        with pytest.raises(DeviceError, match=r"needs about 6\.1 GB in 4bit \(bf16\); cpu has"):
            choose(replace(SEVEN_B, seen_by=290_000_000), quantize="4bit")

    def test_a_gpu_encodes_as_it_computes(self, machine: Machine) -> None:
        machine.has(64, 40, eight_bits=True)
        assert choose(SEVEN_B, quantize="4bit", encode="int8").many_rows is None

    def test_eight_bits_need_their_library(self, machine: Machine) -> None:
        machine.has(64, packing=False)
        with pytest.raises(DeviceError, match="--encode int8 needs bitsandbytes"):
            choose(SEVEN_B, encode="int8")
        with pytest.raises(UsageError, match="unknown way to encode 'fast'"):
            choose(SEVEN_B, encode="fast")

    def test_memory_decides_before_speed(self, machine: Machine) -> None:
        machine.has(30, bf16_units=True, times_of_fp32=1.7)
        plan = choose(SEVEN_B)
        assert (plan.dtype, plan.many_rows) == ("bf16", "fp32")
        speed, size = plan.reasons[-2:]
        assert speed.startswith("the CPU multiplies fp32 1.7 times as fast as bf16: bf16 is widened")
        assert size == "fp32 would need 31.5 GB; bf16 fits: 15.7 GB of 27.0 GB"

    @pytest.mark.parametrize(("free_gb", "quantize"), [(24, "none"), (17, "4bit"), (8, "4bit")])
    def test_best_that_fits_on_a_gpu(self, free_gb: float, quantize: str, machine: Machine) -> None:
        machine.has(64, free_gb)
        assert chosen() == ("cuda:0", "bf16", quantize)

    def test_gpu_with_the_most_free_memory(self, machine: Machine) -> None:
        machine.has(64, 10, 24, 12)
        assert chosen() == ("cuda:1", "bf16", "none")
        assert "GPU 1 has the most free memory" in choose(SEVEN_B).reasons

    def test_reason_says_what_did_not_fit(self, machine: Machine) -> None:
        machine.has(64, 12)
        (*_, reason) = choose(SEVEN_B).reasons
        assert reason == "bf16 would need 15.7 GB; 4bit (bf16) fits: 6.1 GB of 10.8 GB"

    def test_no_gpu_is_said(self, machine: Machine) -> None:
        machine.has(cpu=64)
        assert "no CUDA device here: running on the CPU" in choose(SEVEN_B).reasons

    def test_without_bitsandbytes_nothing_is_packed(self, machine: Machine) -> None:
        machine.has(cpu=30, packing=False)
        assert chosen() == ("cpu", "bf16", "none")
        machine.has(cpu=15, packing=False)
        with pytest.raises(DeviceError, match=r"about 15\.7 GB in bf16; cpu has 15\.0 GB free"):
            choose(SEVEN_B)


class TestAsked:
    @pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
    @pytest.mark.parametrize("quantize", ["none", "4bit", "8bit"])
    @pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
    def test_is_what_is_done(self, device: str, dtype: str, quantize: str, machine: Machine) -> None:
        machine.has(100, 80, 80)
        wanted = "cuda:0" if device == "cuda" else device
        assert chosen(device=device, dtype=dtype, quantize=quantize) == (wanted, dtype, quantize)

    def test_rest_is_chosen_around_it(self, machine: Machine) -> None:
        machine.has(cpu=20)
        assert chosen(quantize="none") == ("cpu", "bf16", "none")
        assert chosen(dtype="fp32") == ("cpu", "fp32", "4bit")
        assert chosen(quantize="8bit") == ("cpu", "fp32", "8bit")

    @pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7"])
    def test_gpu_that_is_not_there(self, device: str, machine: Machine) -> None:
        machine.has(cpu=64)
        with pytest.raises(DeviceError, match="no CUDA device") as caught:
            choose(SEVEN_B, device=device)
        assert caught.value.status == ExitStatus.DEVICE == 6
        assert "--device cpu" in caught.value.hint

    def test_number_past_the_last_gpu(self, machine: Machine) -> None:
        machine.has(64, 24)
        with pytest.raises(DeviceError, match=r"--device cuda:1: this machine has 1 CUDA device"):
            choose(SEVEN_B, device="cuda:1")

    @pytest.mark.parametrize(
        ("options", "hint"),
        [
            ({"dtype": "bf17"}, "auto, fp32, bf16, fp16"),
            ({"dtype": ""}, "auto, fp32, bf16, fp16"),
            ({"quantize": "3bit"}, "auto, none, 4bit, 8bit"),
            ({"device": "tpu"}, "auto, cpu, cuda, cuda:N"),
            ({"device": "cpu:1"}, "auto, cpu, cuda, cuda:N"),
            ({"device": "cuda:x"}, "auto, cpu, cuda, cuda:N"),
            ({"device": "cuda:-1"}, "auto, cpu, cuda, cuda:N"),
            ({"device": "cuda:"}, "auto, cpu, cuda, cuda:N"),
            ({"device": "cuda:²"}, "auto, cpu, cuda, cuda:N"),
            ({"device": ""}, "auto, cpu, cuda, cuda:N"),
        ],
        ids=str,
    )
    def test_names_that_do_not_exist(self, options: dict[str, str], hint: str, machine: Machine) -> None:
        machine.has(64, 24)
        with pytest.raises(UsageError, match="unknown") as caught:
            choose(SEVEN_B, **options)
        assert hint in caught.value.hint
        assert repr(next(iter(options.values()))) in caught.value.message


class TestManyRows:
    @pytest.mark.parametrize("dtype", ["bf16", "fp16"])
    @pytest.mark.parametrize("quantize", ["none", "4bit"])
    @pytest.mark.parametrize(("times_of_fp32", "is_wide"), [(2.0, True), (1.1, False), (0.4, False)])
    def test_are_multiplied_in_fp32_where_that_is_clearly_faster(
        self, dtype: str, quantize: str, times_of_fp32: float, is_wide: bool, machine: Machine
    ) -> None:
        machine.has(64, times_of_fp32=times_of_fp32)
        plan = choose(SEVEN_B, dtype=dtype, quantize=quantize)
        assert plan.many_rows == ("fp32" if is_wide else dtype)
        assert plan.torch_many_rows == (torch.float32 if is_wide else plan.torch_dtype)

    def test_are_never_multiplied_less_exactly_than_asked(self, machine: Machine) -> None:
        machine.has(64, bf16_units=True, times_of_fp32=0.1)
        assert choose(SEVEN_B, dtype="fp32").many_rows == "fp32"

    def test_are_the_librarys_business_on_a_gpu(self, machine: Machine) -> None:
        machine.has(64, 80)
        plan = choose(SEVEN_B)
        assert (plan.many_rows, plan.torch_many_rows) == (None, None)


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


class TestFootprint:
    def test_bytes_by_precision(self) -> None:
        need = Footprint(quantizable=1000, other=100, working=10)
        assert need.bytes("fp32", "none") == 4440
        assert need.bytes("bf16", "none") == 2220
        assert need.bytes("bf16", "4bit") == 520 + 220
        assert need.bytes("fp32", "8bit") == 1010 + 440

    def test_one_layer_is_widened_at_a_time(self) -> None:
        need = Footprint(quantizable=1000, other=100, working=10, layer=(7, 20, 5))
        assert need.bytes("fp32", "none") == 4440
        assert need.bytes("bf16", "none") == 2220 + 400
        assert need.bytes("bf16", "4bit") == 520 + 220 + 400

    def test_of_the_7b_is_what_its_parts_sum_to(self) -> None:
        made = config_of("7b")
        model = empty_model(made)
        need = footprint(made, shapes_of(model), {f"{name}.weight" for name in quantizable(model)})
        assert need.quantizable == 32 * (4 * 4096**2 + 3 * 4096 * 11008)
        head_and_embeddings = 2 * 32064 * 4096
        assert 0 < need.other - head_and_embeddings < 330_000_000  # CLIP-L is 300 million
        layers = need.quantizable * 2304  # each visual token
        tower = 16 * 576 * 300_000_000  # each patch
        assert need.products == pytest.approx(layers + tower, rel=0.02)
        cache = 2 * 32 * 4096 * (2304 + 512)
        assert 0 < need.working - cache < 100_000_000
        assert need.layer == (2304, 4096, 11008)
        assert need.bytes("bf16", "none") == pytest.approx(15.7 * GB, rel=0.02)

    def test_of_what_the_registry_says(self) -> None:
        """In precisions that it has no column for too."""
        columns = {"bf16": 15.7, "int8": 9.3, "nf4": 6.1}
        found, exact = footprint_of(columns), SEVEN_B
        for dtype, quantize in (("bf16", "none"), ("bf16", "8bit"), ("bf16", "4bit"), ("fp32", "none")):
            assert found.bytes(dtype, quantize) == pytest.approx(exact.bytes(dtype, quantize), rel=0.01)
        assert found.bytes("fp32", "4bit") == pytest.approx(exact.bytes("fp32", "4bit"), rel=0.02)
        assert found.bytes("fp32", "4bit") > 1.4 * found.bytes("bf16", "4bit")

    def test_of_a_registry_that_makes_no_sense(self) -> None:
        for columns in ({"bf16": 1.0, "nf4": 2.0}, {"bf16": 2.0, "nf4": 0.0}, {"bf16": 0.0, "nf4": 0.0}):
            found = footprint_of(columns)
            assert found.quantizable >= 0 and found.other >= 0

    def test_fewer_visual_tokens_need_less(self) -> None:
        def working(shape: tuple[int, int, int]) -> int:
            found = footprint(config_of("7b", shape), {}, set()).working
            asked = footprint(config_of("7b"), {}, set(), visual_tokens=prod(shape)).working
            assert asked == found
            return found

        assert working((4, 12, 12)) < working((16, 12, 12))
        per_token = (working((16, 12, 12)) - working((4, 12, 12))) / (12 * 144)
        assert per_token == 2 * 32 * 4096
