"""The local inference API: the Open Inference Protocol V2 over HTTP/1.1, for programs on the same device."""
