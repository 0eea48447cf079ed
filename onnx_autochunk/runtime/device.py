"""The GPU as the driver sees it: whether there is one, and how much of its memory is free.

Asked through the driver's own library, so that nothing but the driver need be installed.
Source: CUDA Driver API, cuInit, cuDeviceGetCount, cuDevicePrimaryCtxRetain, cuMemGetInfo.
"""

from __future__ import annotations

import ctypes
from functools import cache

DRIVER = "libcuda.so.1"
FIRST = 0  # the device that ONNX Runtime takes unless told otherwise


@cache
def _driver() -> ctypes.CDLL | None:
    """The driver's library, started; None where there is none, or no GPU."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return None
    count = ctypes.c_int(0)
    started = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return driver if started and count.value else None


def has_gpu() -> bool:
    """Whether the driver shows this process a GPU."""
    return _driver() is not None


def memory_bytes() -> tuple[int, int] | None:
    """Free and total bytes of the first GPU; None where there is none."""
    driver = _driver()
    if driver is None:
        return None
    device, context = ctypes.c_int(), ctypes.c_void_p()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    answers = (
        driver.cuDeviceGet(ctypes.byref(device), FIRST),
        driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device),
        driver.cuCtxSetCurrent(context),
        driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)),
    )
    return None if any(answers) else (free.value, total.value)


def driver_version() -> int | None:
    """The newest version of CUDA that the driver knows, such as 13000; None where there is no GPU."""
    driver, number = _driver(), ctypes.c_int()
    return None if driver is None or driver.cuDriverGetVersion(ctypes.byref(number)) else number.value


def name() -> str | None:
    """The first GPU's name; None where there is none."""
    driver, text, device = _driver(), ctypes.create_string_buffer(128), ctypes.c_int()
    if driver is None or driver.cuDeviceGet(ctypes.byref(device), FIRST):
        return None
    failed = driver.cuDeviceGetName(text, len(text), device)
    return None if failed else text.value.decode(errors="replace")
