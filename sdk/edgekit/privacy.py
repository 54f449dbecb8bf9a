"""Nobody phones home: what the libraries beneath would send about their use is turned off before any of them is loaded."""

import os
import sys


def silence_telemetry() -> None:
    """Keep ONNX Runtime, OpenVINO and NNCF from sending usage data, in this process and in those that it starts.

    ONNX Runtime on Linux sends by default since 1.29. It looks at its variable once, when it is loaded, and then neither
    sends nor leaves an identifier of the device in the home (its docs/Privacy.md). OpenVINO and NNCF fall back to a stub
    where the package openvino-telemetry is absent, and None in sys.modules makes an import behave so (Python reference,
    section 5.3.1); that package's own opt-out is a file in the user's home, which is not ours to write.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
