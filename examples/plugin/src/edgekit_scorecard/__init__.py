"""Three plug-ins for edgekit: a source for linear models in .npz files, a target for bare ONNX, and a pass without Dropout."""
