#!/usr/bin/env python3
"""Fetch what the build needs and a bare machine lacks: CPU-only libtorch, a static ffmpeg, cmake.

Everything comes from pinned PyPI wheels and lands in `.deps/` of this checkout; nothing outside
the checkout is touched and no root is needed. A part is unpacked beside its place and renamed
when whole, so the script may be interrupted and run again at any moment. Only Python's standard
library and pip are used.

    LIBTORCH=<dir>             use your own libtorch 2.11 instead of the wheel's
    LIBTORCH_USE_PYTORCH=1     use the libtorch inside your Python's torch 2.11
"""

import fcntl
import os
import platform
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEPS = ROOT / ".deps"
# The version of libtorch that tch 0.24 binds; Cargo.toml and this line change together.
TORCH = "2.11.0"
MIN_FREE_BYTES = 3 << 30


class Trouble(Exception):
    """A failure that is told to the user in one or two lines, without a traceback."""


def have_pip():
    """The interpreter that has pip: this one, or one in a throw-away virtual environment."""
    probe = [sys.executable, "-m", "pip", "--version"]
    if subprocess.run(probe, capture_output=True).returncode == 0:
        return sys.executable
    venv = DEPS / "pip-venv"
    made = subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True)
    if made.returncode != 0:
        raise Trouble("Python has neither pip nor venv. On Debian or Ubuntu: apt install python3-venv python3-pip")
    return str(venv / "bin" / "python")


def download(python, requirement, into):
    """Download the wheel of `name==version` for CPython 3.12 on glibc Linux; return its path."""
    arch = platform.machine()
    args = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    args += ["--disable-pip-version-check", "--python-version", "3.12", "--implementation", "cp"]
    args += ["--abi", "cp312", "--abi", "none", "--abi", "abi3"]
    # pip matches a platform tag exactly, so every glibc up to the wheels' 2.28 is named.
    for tag in [f"manylinux_2_{minor}" for minor in range(28, 4, -1)] + ["manylinux2014", "manylinux2010", "manylinux1"]:
        args += ["--platform", f"{tag}_{arch}"]
    args += ["-d", str(into), requirement]
    print(f"  downloading {requirement}", flush=True)
    done = subprocess.run(args, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        last = [line for line in done.stderr.strip().splitlines() if line.strip()][-3:]
        raise Trouble(f"pip could not download {requirement}:\n    " + "\n    ".join(last) +
                      "\n  Check the network (or pip's proxy and index settings) and the free disk space, then run `make setup` again.")
    return next(into.glob("*.whl"))


def unpack(wheel, into, wanted):
    """Extract the members for which `wanted(name)` gives a path below `into`."""
    count = 0
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            place = None if member.is_dir() else wanted(member.filename)
            if place is None:
                continue
            target = into / place
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, open(target, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            count += 1
    if count == 0:
        raise Trouble(f"{wheel.name} does not hold the files that were expected; the pinned version may have changed")


def executable(path):
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def make_libtorch(fetch, out):
    """Headers and the CPU libraries alone: a 200 MB libtorch out of a 530 MB CUDA wheel."""
    cpu_libs = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libshm.so"}

    def torch_part(name):
        if name.startswith("torch/include/"):
            return "include/" + name.removeprefix("torch/include/")
        base = name.rsplit("/", 1)[-1]
        return f"lib/{base}" if name.startswith("torch/lib/") and base in cpu_libs else None

    def cuda_stub(name):
        base = name.rsplit("/", 1)[-1]
        return f"lib/{base}" if base in ("libcudart.so.13", "libcupti.so.13") else None

    unpack(fetch(f"torch=={TORCH}"), out, torch_part)
    # libtorch_cpu.so of the CUDA wheel names these two; they need no GPU and no driver to load.
    unpack(fetch("nvidia-cuda-runtime==13.0.96"), out, cuda_stub)
    unpack(fetch("nvidia-cuda-cupti==13.0.85"), out, cuda_stub)
    (out / "lib/libgomp.so").symlink_to("libgomp.so.1")
    (out / "build-version").write_text(TORCH + "\n")
    # The wheel's libtorch.so only pulls in every CUDA library; an empty one links as well.
    compiler = os.environ.get("CC") or "cc"
    stub = [compiler, "-shared", "-Wl,-soname,libtorch.so", "-o", str(out / "lib/libtorch.so"), "-x", "c", os.devnull]
    try:
        subprocess.run(stub, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as err:
        detail = getattr(err, "stderr", None) or err
        raise Trouble(f"no working C compiler ({compiler}): {detail}\n  On Debian or Ubuntu: apt install build-essential") from err


def make_ffmpeg(fetch, out):
    def part(name):
        return "bin/ffmpeg" if name.startswith("imageio_ffmpeg/binaries/ffmpeg-linux") else None

    unpack(fetch("imageio-ffmpeg==0.6.0"), out, part)
    executable(out / "bin/ffmpeg")


def make_cmake(fetch, out):
    def part(name):
        return name.removeprefix("cmake/data/") if name.startswith("cmake/data/") else None

    unpack(fetch("cmake==4.1.2"), out, part)
    executable(out / "bin/cmake")


PARTS = {"libtorch": make_libtorch, "ffmpeg": make_ffmpeg, "cmake": make_cmake}


def install(name, make):
    """Build part `name` in a temporary folder of `.deps` and rename it into place."""
    place = DEPS / name
    if place.is_dir():
        return
    with tempfile.TemporaryDirectory(prefix="part-", dir=DEPS) as scratch:
        scratch = Path(scratch)

        def fetch(requirement):
            into = scratch / requirement.split("=")[0]
            into.mkdir()
            return download(have_pip(), requirement, into)

        out = scratch / "out"
        out.mkdir()
        make(fetch, out)
        os.rename(out, place)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = dict(PARTS)
    if os.environ.get("LIBTORCH_USE_PYTORCH"):
        print("setup: using the libtorch of your Python's torch (LIBTORCH_USE_PYTORCH)")
        del wanted["libtorch"]
    elif os.environ.get("LIBTORCH") and Path(os.environ["LIBTORCH"]).resolve() != DEPS / "libtorch":
        print(f"setup: using your libtorch at {os.environ['LIBTORCH']} (LIBTORCH)")
        del wanted["libtorch"]
    missing = [name for name in wanted if not (DEPS / name).is_dir()]
    if not missing:
        return
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise Trouble(f"the pinned wheels are for Linux on x86_64, this is {platform.system()} on {platform.machine()}.\n"
                      "  Set LIBTORCH to a libtorch 2.11, and put ffmpeg and cmake on PATH.")
    DEPS.mkdir(exist_ok=True)
    with open(DEPS / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for stale in DEPS.glob("part-*"):
            shutil.rmtree(stale, ignore_errors=True)
        free = shutil.disk_usage(DEPS).free
        if free < MIN_FREE_BYTES:
            raise Trouble(f"{DEPS} has {free >> 20} MiB free; set-up and build need {MIN_FREE_BYTES >> 20} MiB")
        print(f"setup: fetching {', '.join(missing)} into {DEPS}", flush=True)
        for name in missing:
            install(name, wanted[name])
    print("setup: done")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; run it again to go on")
    except Trouble as err:
        sys.exit(f"setup: {err}")
    except OSError as err:
        sys.exit(f"setup: {err}\n  Check the free disk space and the permissions of {DEPS}, then run `make setup` again.")
