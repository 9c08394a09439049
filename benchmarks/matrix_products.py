"""Which precision this CPU multiplies fastest, for one row (decoding) and for many (prefill, vision).

The choice of `--dtype auto` on a CPU rests on this.

    python benchmarks/matrix_products.py
"""

import time

import torch
from machine import describe

WIDTH = 4096
"""Of the 7B language model's layers."""


def best_s(x: torch.Tensor, weight: torch.Tensor, rounds: int = 7) -> float:
    """Least seconds of one product."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        torch.nn.functional.linear(x, weight)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    """Print a table of milliseconds and GFLOP/s."""
    print(describe("torch"), f"\n\na {WIDTH} x {WIDTH} layer\n")
    print("| precision | rows | ms | GFLOP/s |\n|---|---|---|---|")
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        weight = torch.randn(WIDTH, WIDTH).to(dtype)
        for rows in (1, 512):
            seconds = best_s(torch.randn(rows, WIDTH).to(dtype), weight)
            rate = 2 * rows * WIDTH * WIDTH / seconds / 1e9
            print(f"| {str(dtype).removeprefix('torch.')} | {rows} | {seconds * 1e3:.2f} | {rate:.0f} |")


if __name__ == "__main__":
    main()
