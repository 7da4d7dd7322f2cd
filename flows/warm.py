"""Compiles every kernel into numba's cache, so that no start has to: `python -m fleetpulse.flows.warm`, run by the set-up."""

import importlib
import pkgutil
import time

import fleetpulse


def main() -> None:
    """Import every module of the product (not bench, which needs more packages); a kernel compiles when its module is imported."""
    began = time.monotonic()
    modules = pkgutil.walk_packages(fleetpulse.__path__, "fleetpulse.")
    names = [module.name for module in modules if not module.name.startswith("fleetpulse.bench")]
    for name in names:
        importlib.import_module(name)
    print(f"{len(names)} modules ready, kernels compiled, in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
