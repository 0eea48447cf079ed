"""`python -m onnx_autochunk IN.onnx OUT.onnx`."""

from .cli import main

if __name__ == "__main__":
    main()
