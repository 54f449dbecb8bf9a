"""Runs inside the environment ``onnx2tf``, under its own Python: one ONNX file to one float32 TFLite file.

Called with two paths, the request and the response, both JSON. The request has *model*, *output* and *keep_shape*; the
response has ``result`` with the path of the *tflite* file, or ``error`` with a message. Imports only onnx2tf and the
standard library.
"""

import json
import sys
from pathlib import Path


def convert(request: dict[str, object]) -> dict[str, str]:
    """The response to *request*. What onnx2tf prints goes where this process's output goes."""
    import onnx2tf  # type: ignore[import-not-found]  # it is in this script's environment, not in the workstation's

    output = Path(str(request["output"]))
    onnx2tf.convert(
        input_onnx_file_path=str(request["model"]),
        output_folder_path=str(output),
        copy_onnx_input_output_names_to_tflite=True,
        keep_shape_absolutely_input_names=request["keep_shape"],
        non_verbose=True,
        verbosity="error",
    )
    return {"tflite": str(next(output.glob("*_float32.tflite")))}


def answer(request: dict[str, object]) -> dict[str, object]:
    """``result`` or ``error`` for *request*; onnx2tf leaves by SystemExit and by whatever its 273 passes raise."""
    try:
        return {"result": convert(request)}
    except SystemExit as stop:
        return {"error": f"onnx2tf gave up with code {stop.code}"}
    except Exception as error:  # noqa: BLE001 - every failure goes to the caller, who tells it
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Answer the request at the first path with a file at the second."""
    request_path, response_path = map(Path, sys.argv[1:])
    response = answer(json.loads(request_path.read_text(encoding="utf-8")))
    response_path.write_text(json.dumps(response), encoding="utf-8")


if __name__ == "__main__":
    main()
