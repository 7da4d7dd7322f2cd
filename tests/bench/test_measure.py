"""Clocks of benchmarks count what they say."""

import subprocess
import sys
from collections.abc import Callable

from fleetpulse.bench import measure
from fleetpulse.bench.measure import Tree


def test_rates_leave_out_warm_up_and_preparation() -> None:
    done: list[str] = []

    def prepare() -> Callable[[], object]:
        done.append("prepare")
        return lambda: done.append("work")

    rates = measure.rates_of(prepare, 10, runs=3, warm_up=2)
    assert len(rates.wall) == len(rates.cpu) == 3
    assert done == ["prepare", "work"] * 5


def test_a_tree_counts_the_cpu_of_children() -> None:
    code = "import time\nt = time.process_time()\nwhile time.process_time() - t < 0.3: pass\nprint('done', flush=True)\ninput()"
    script = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {code!r}])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        tree = Tree(process.pid)
        tree.look()
        assert tree.cpu_s >= 0.3
        assert tree.rss_bytes() > 5_000_000
        process.communicate(b"\n")
    tree.look()
    assert tree.cpu_s >= 0.3
    assert tree.rss_bytes() == 0


def test_peak_memory_is_this_processes_own() -> None:
    block = b"x" * 50_000_000
    assert measure.peak_rss_bytes() > len(block)
    code = "from fleetpulse.bench import measure; print(measure.peak_rss_bytes())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert 10_000_000 < int(child.stdout) < measure.peak_rss_bytes() + 50_000_000
