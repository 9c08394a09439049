"""The choice of device, precision and quantisation: what is asked, what fits, and why."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from pllava_cli.errors import DeviceError, ExitStatus, UsageError
from pllava_cli.model.placing import choose
from tests.model.placing.conftest import SEVEN_B, Machine, chosen


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

    @pytest.mark.parametrize(
        ("device", "wanted"), [("auto", "bf16"), ("cuda", "fp16"), ("cuda:0", "fp16"), ("cuda:1", "bf16")]
    )
    def test_precision_is_that_of_the_gpu_at_hand(self, device: str, wanted: str, machine: Machine) -> None:
        machine.has(64, 24, 48)
        machine.has_gpus_of(7, 8)
        assert chosen(device=device)[1] == wanted

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
