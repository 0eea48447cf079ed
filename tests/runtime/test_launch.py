from __future__ import annotations

import pytest

from onnx_autochunk.errors import AutochunkError, BudgetError, ChildError, ModelError
from onnx_autochunk.runtime.launch import EXACT_MEMORY, Function, call
from tests.runtime import child_functions as children


def test_answer_is_what_the_function_returned() -> None:
    request = {"text": "ünïcode \n", "numbers": [1, 2.5, None], "nested": {"deep": True}}
    assert call(children.echo, request) == request


def test_answer_survives_what_is_printed() -> None:
    assert call(children.chatter, {"word": "hello"}) == {"said": "hello"}


def test_environment_is_set_in_the_child() -> None:
    assert call(children.environment, {"names": list(EXACT_MEMORY)}, environment=EXACT_MEMORY) == EXACT_MEMORY


@pytest.mark.parametrize(
    ("function", "request_", "error", "pattern"),
    [
        (children.user_error, {"message": "floor is 3 MiB"}, BudgetError, r"^floor is 3 MiB$"),
        (children.model_error, {"message": "not ONNX"}, ModelError, r"^not ONNX$"),
        (children.bug, {"message": "gone"}, ChildError, r"child_functions:bug: KeyError in the child.*gone"),
        (
            children.die,
            {"signal": "SIGKILL"},
            ChildError,
            r"killed \(SIGKILL\).*memory ran out.*my last words",
        ),
        (children.die, {"signal": "SIGSEGV"}, ChildError, r"crashed \(SIGSEGV\).*my last words"),
        (children.leave, {"code": 7}, ChildError, r"exit code 7 and no answer"),
        (children.sleep, {"seconds": 60}, ChildError, r"took longer than 3 s"),
    ],
)
def test_failure(
    function: Function, request_: dict[str, object], error: type[AutochunkError], pattern: str
) -> None:
    with pytest.raises(error, match=pattern) as caught:
        call(function, request_, timeout_s=3 if function is children.sleep else None)
    assert type(caught.value) is error
