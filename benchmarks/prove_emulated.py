r"""Whether a bundle's variants give the source's answers on another processor, which QEMU emulates: an ARM board on an x86 machine.

Run it by the other architecture's Python. With Debian 13's packages qemu-user and mmdebstrap, once:

    mmdebstrap --variant=extract --architectures=arm64 --include=python3,libstdc++6,libgomp1 trixie ROOT
    ln -s usr/lib ROOT/lib
    pip install --target SITE --platform manylinux_2_28_aarch64 --platform manylinux_2_35_aarch64 --platform manylinux2014_aarch64 \
        --python-version 313 --only-binary :all: numpy msgspec onnxruntime ai-edge-litert openvino

and for each processor, from the root of the repository:

    PYTHONPATH=SITE:sdk:agent qemu-aarch64 -cpu cortex-a53 -L ROOT ROOT/usr/bin/python3.13 benchmarks/prove_emulated.py BUNDLE

It says nothing of how long a variant takes on a device. The exit code is 1 where one gives other answers.
"""

import argparse
import platform
import sys
from pathlib import Path

from edgekit.bundles import VerifiedBundle, open_bundle
from edgekit.errors import EdgekitError
from edgekit.manifest import Variant
from edgekit.runtimes.base import Runtime
from edgekit.runtimes.litert import LiteRT
from edgekit.runtimes.onnx_runtime import OnnxRuntime
from edgekit.runtimes.openvino_runtime import OpenVINORuntime
from edgekit_agent.proving import open_proven

# Named here, since packages that were unpacked for another architecture have no entry points of edgekit's.
RUNTIMES: dict[str, type[Runtime]] = {"onnx": OnnxRuntime, "tflite": LiteRT, "openvino": OpenVINORuntime}


def main() -> None:
    """Prove each variant for CPUs as an agent does before one goes live, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    bundle = open_bundle(parser.parse_args().bundle)
    print(f"{bundle.manifest.name} on {platform.machine()}")
    proven = [prove(bundle, variant) for variant in bundle.variants if variant.accelerator is None]
    sys.exit(0 if all(proven) else 1)


def prove(bundle: VerifiedBundle, variant: Variant) -> bool:
    """Whether *variant* keeps its tolerance here; how near it came is printed."""
    try:
        proven = open_proven(bundle, variant, RUNTIMES[variant.format](), 1)
    except EdgekitError as error:
        print(f"{variant.id}: {error}", flush=True)
        return False
    proven.session.close()
    print(f"{variant.id}: at most {proven.parity.max_abs:.3g} off, {variant.tolerance.max_abs:.3g} allowed", flush=True)
    return True


if __name__ == "__main__":
    main()
