"""What the children of `test_launch` are asked to do."""

from __future__ import annotations

import os
import signal
import time

from onnx_autochunk.errors import BudgetError, ModelError
from onnx_autochunk.runtime.launch import Json


def echo(request: Json) -> Json:
    return request


def chatter(request: Json) -> Json:
    print("noise " * 50_000)  # noqa: T201 noise is the point
    os.write(2, b'{"result": "from stderr"}\n')
    return {"said": request["word"]}


def environment(request: Json) -> Json:
    return {name: os.environ.get(name) for name in request["names"]}


def user_error(request: Json) -> Json:
    raise BudgetError(request["message"])


def model_error(request: Json) -> Json:
    raise ModelError(request["message"])


def bug(request: Json) -> Json:
    raise KeyError(request["message"])


def die(request: Json) -> Json:
    os.write(2, b"these are my last words\n")
    os.kill(os.getpid(), getattr(signal, request["signal"]))
    return {}


def leave(request: Json) -> Json:
    os._exit(request["code"])


def sleep(request: Json) -> Json:
    time.sleep(request["seconds"])
    return {}


def segfault(request: Json) -> Json:
    os.kill(os.getpid(), signal.SIGSEGV)
    return request


def segfault_with_all_optimizers(request: Json) -> Json:
    return request if request["disabled"] else segfault(request)
