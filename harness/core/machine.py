"""What this machine offers: cores, and how results name the machine."""

import os
import platform
from functools import cache
from pathlib import Path


def cores() -> int:
    """Return the cores this process may use: its affinity, and the cgroup's quota if that is less.

    ONNX Runtime's own default reads the host's cores (onnxruntime#29510), hence threads are
    always set from here.
    """
    available = len(os.sched_getaffinity(0))
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.is_file():
        limit, period = quota.read_text(encoding="ascii").split()
        if limit != "max":
            available = min(available, max(1, int(limit) // int(period)))
    return available


@cache
def describe() -> dict[str, str | int]:
    """Return what a reader needs to place a measurement: processor, cores, memory, system."""
    processor, flags = platform.machine(), ""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            processor = value.strip()
        if key.strip() == "flags":
            flags = " ".join(flag for flag in value.split() if flag in {"avx2", "avx512f", "avx512_vnni", "amx_int8"})
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor,
        "instructions": flags,
        "cores": cores(),
        "memory_gib": round(memory / 2**30),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
