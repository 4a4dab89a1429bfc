#!/usr/bin/env python3
"""Reads run folders with TensorBoard's own reader and compares what it finds with metrics.jsonl and pictures/.

Every number of every line must be there under a tag that ends in its key, at its step, rounded to f32, and nothing
else; every picture must be the bytes of a PNG of the size that is said, and what a resumed run made again must be there
once. Both of TensorBoard's readers are asked: the one of its library and the one behind its pages.

    python3 -m venv /some/venv && /some/venv/bin/pip install tensorboard==2.20.0
    /some/venv/bin/python scripts/check_tensorboard.py RUN...
"""

import json
import math
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as PageAccumulator
from tensorboard.util.tensor_util import make_ndarray

EVERYTHING = 0
PNG_START = b"\x89PNG\r\n\x1a\n"


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def wanted(run):
    """Numbers of metrics.jsonl by (key, step); NaN stands for null."""
    numbers = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        for key, value in row.items():
            if key != "step":
                numbers[key, row["step"]] = math.nan if value is None else f32(value)
    return numbers


def by_library(run):
    """Numbers and pictures as tensorboard's library tells them, each with its tag."""
    reader = EventAccumulator(str(run), size_guidance={"scalars": EVERYTHING, "images": EVERYTHING})
    reader.Reload()
    scalars = [(tag, e.step, e.value) for tag in reader.Tags()["scalars"] for e in reader.Scalars(tag)]
    images = [(tag, e.step, e.width, e.height, e.encoded_image_string)
              for tag in reader.Tags()["images"] for e in reader.Images(tag)]
    return scalars, images


def by_pages(run):
    """The same as tensorboard's pages get them."""
    reader = PageAccumulator(str(run), tensor_size_guidance={"scalars": EVERYTHING, "images": EVERYTHING})
    reader.Reload()
    scalars, images = [], []
    for tag in reader.Tags()["tensors"]:
        plugin = reader.SummaryMetadata(tag).plugin_data.plugin_name
        for event in reader.Tensors(tag):
            value = make_ndarray(event.tensor_proto)
            if plugin == "scalars":
                scalars.append((tag, event.step, float(value)))
            elif plugin == "images":
                images.append((tag, event.step, int(value[0]), int(value[1]), value[2]))
    return scalars, images


def compare_scalars(want, scalars):
    found, problems = {}, []
    for tag, step, value in scalars:
        key = (tag.split("/", 1)[-1], step)
        if key in found:
            problems.append(f"{tag} has step {step} twice")
        found[key] = value
    for key in sorted(want.keys() | found.keys()):
        a, b = want.get(key, math.nan), found.get(key, math.nan)
        if a != b and not (math.isnan(a) and math.isnan(b)):
            problems.append(f"{key[0]} at step {key[1]}: {a} in metrics.jsonl, {b} in tensorboard")
    return problems


def compare_images(run, images):
    files = {path.read_bytes(): path.name for path in run.glob("pictures/*.png")}
    problems = []
    for tag, step, width, height, png in images:
        size = struct.unpack(">II", png[16:24]) if png.startswith(PNG_START) else None
        if size != (width, height):
            problems.append(f"{tag} at step {step}: {width} x {height} is said, the PNG has {size}")
        if png not in files:
            problems.append(f"{tag} at step {step} is no file of pictures/")
    if len({(tag, step) for tag, step, *_ in images}) < len(images):
        problems.append("a picture has a step twice")
    return problems


def check(run):
    want = wanted(run)
    problems = [] if want else ["metrics.jsonl holds no number"]
    for reader in (by_library, by_pages):
        scalars, images = reader(run)
        new = compare_scalars(want, scalars) + compare_images(run, images)
        problems += [f"{reader.__name__}: {problem}" for problem in new]
        groups = sorted({tag.split("/", 1)[0] for tag, *_ in scalars})
        print(f"{run}, {reader.__name__}: {len(scalars)} numbers in {', '.join(groups)}; {len(images)} pictures")
    for problem in problems:
        print(f"{run}: {problem}", file=sys.stderr)
    return not problems


if __name__ == "__main__":
    runs = [Path(arg) for arg in sys.argv[1:]]
    if not runs:
        sys.exit(__doc__)
    sys.exit(0 if all([check(run) for run in runs]) else 1)
