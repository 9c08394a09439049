"""The choice between one GPU, several together and the CPU."""

import pytest

from pllava_cli.errors import DeviceError
from pllava_cli.model.footprint import Footprint
from pllava_cli.model.placing import choose
from tests.model.placing.conftest import GB, Machine


class TestChoice:
    NEED = Footprint(quantizable=30 * GB, other=2 * GB, working=GB, layers=30)
    """About 66 GB in bf16, 21.6 in 4 bits."""

    def test_one_gpu_if_it_fits(self, machine: Machine) -> None:
        machine.has(90, 40, 40)
        plan = choose(self.NEED)
        assert (plan.device, plan.quantize, plan.layers) == ("cuda:0", "4bit", ())

    def test_several_if_not_one(self, machine: Machine) -> None:
        machine.has(90, 40, 44)
        plan = choose(self.NEED, quantize="none")
        assert (plan.device, plan.quantize) == ("cuda:1", "none")
        assert plan.layers == ("cuda:1",) * 17 + ("cuda:0",) * 13
        assert plan.reasons == ("bf16 fits on no GPU alone, but on cuda:1, cuda:0",)
        assert plan.device_of("model.language_model.layers.16.mlp.up_proj.weight") == "cuda:1"
        assert plan.device_of("model.language_model.layers.17.mlp.up_proj.weight") == "cuda:0"
        for name in ("lm_head.weight", "model.vision_tower.encoder.layers.20.mlp.fc1.weight"):
            assert plan.device_of(name) == "cuda:1"

    @pytest.mark.parametrize("generations", [(7, 8), (8, 7)], ids=str)
    def test_of_several_generations_the_oldest_decides(
        self, generations: tuple[int, int], machine: Machine
    ) -> None:
        machine.has(90, 40, 44)
        machine.has_gpus_of(*generations)
        plan = choose(self.NEED, quantize="none")
        assert (plan.dtype, set(plan.layers)) == ("fp16", {"cuda:0", "cuda:1"})

    def test_packed_over_several_before_the_cpu(self, machine: Machine) -> None:
        machine.has(90, 14, 14)
        plan = choose(self.NEED)
        assert (plan.quantize, set(plan.layers)) == ("4bit", {"cuda:0", "cuda:1"})

    def test_cpu_if_not_on_all_together(self, machine: Machine) -> None:
        machine.has(90, 6, 6)
        assert choose(self.NEED).device == "cpu"

    def test_named_device_is_the_only_one(self, machine: Machine) -> None:
        machine.has(90, 40, 44)
        with pytest.raises(DeviceError, match="cuda:1 has 44"):
            choose(self.NEED, "cuda:1", quantize="none")
