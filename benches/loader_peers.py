#!/usr/bin/env python3
"""Clips per second: `longvid bench loader` on a clip store against decord and PyAV on the videos it was made from.

A clip is 128 frames sampled by time at 24 per second, short side 256 pixels, cut to 224 x 224 at a random place. Everybody
has two processes or threads on the same two cores, and takes turns, so that what else the machine does hits all alike.

    python3 -m venv /somewhere && /somewhere/bin/pip install decord==0.6.0 av==18.1.0 numpy==2.4.6
    longvid data import folder VIDEOS --out clips.h5 --short-side 256
    /somewhere/bin/python benches/loader_peers.py --videos VIDEOS --clips clips.h5 --longvid target/release/longvid
"""

import argparse
import json
import multiprocessing
import pathlib
import random
import subprocess
import time

import av
import decord
import numpy as np

NUM_FRAMES, FRAMES_PER_SEC, SHORT_SIDE_PX, SIZE_PX, WORKERS = 128, 24.0, 256, 224, 2


def resized(width, height):
    scale = SHORT_SIDE_PX / min(width, height)
    return 2 * round(width * scale / 2), 2 * round(height * scale / 2)


def wanted(rng, num_frames, source_fps):
    """Indices of the clip's frames: a random start, then one every 1/24 s; the last is repeated in a short video."""
    last = max(num_frames / source_fps - NUM_FRAMES / FRAMES_PER_SEC, 0.0)
    start = rng.uniform(0.0, last)
    times = start + (np.arange(NUM_FRAMES) + 0.5) / FRAMES_PER_SEC
    return np.minimum((times * source_fps).astype(int), num_frames - 1)


def crop(rng, frames):
    """[T, H, W, 3] to [T, 224, 224, 3]."""
    top = rng.randint(0, frames.shape[1] - SIZE_PX)
    left = rng.randint(0, frames.shape[2] - SIZE_PX)
    return np.ascontiguousarray(frames[:, top : top + SIZE_PX, left : left + SIZE_PX])


def with_decord(job):
    path, seed, (width, height) = job
    rng = random.Random(seed)
    reader = decord.VideoReader(path, num_threads=1, width=width, height=height)
    indices = wanted(rng, len(reader), reader.get_avg_fps())
    return crop(rng, reader.get_batch(indices).asnumpy()).shape[0]


def with_pyav(job):
    path, seed, (width, height) = job
    rng = random.Random(seed)
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        fps = float(stream.average_rate)
        indices = wanted(rng, stream.frames, fps)
        container.seek(int(indices[0] / fps / stream.time_base), stream=stream)
        frames = {}
        for frame in container.decode(stream):
            index = round(float(frame.pts * stream.time_base) * fps)
            if index >= indices[0]:
                frames[index] = frame.to_ndarray(format="rgb24", width=width, height=height)
            if index >= indices[-1]:
                break
    known = sorted(frames)
    nearest = [frames[known[min(np.searchsorted(known, index), len(known) - 1)]] for index in indices]
    return crop(rng, np.stack(nearest)).shape[0]


def size_of(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return resized(stream.width, stream.height) if stream.frames else None


def peer(load, jobs, pool):
    began = time.monotonic()
    assert all(frames == NUM_FRAMES for frames in pool.imap_unordered(load, jobs))
    return len(jobs) / (time.monotonic() - began)


def longvid(args, num_clips):
    sampling = f'clip.sampling={{ kind = "rate", frames_per_sec = {FRAMES_PER_SEC} }}'
    command = [args.longvid, "bench", "loader", "--clips", args.clips, "--preset", "lvmae-b-128f", "--json"]
    command += ["--set", sampling, "--set", 'augment.crop={ kind = "random" }', "--workers", str(WORKERS)]
    command += ["--batch", "2", "--steps", str(num_clips // 2), "--rounds", "1"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert (answer["num_frames"], answer["size_px"]) == (NUM_FRAMES, SIZE_PX)
    return answer["rounds"][0]["clips_per_sec"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", required=True)
    parser.add_argument("--clips", required=True, help="the clip store made from these videos at short side 256")
    parser.add_argument("--longvid", default="longvid")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    paths = sorted(path for path in pathlib.Path(args.videos).iterdir() if path.is_file())
    sizes = [(str(path), size_of(path)) for path in paths]
    jobs = [(path, seed, size) for seed, (path, size) in enumerate(sizes) if size]
    rates = {"longvid": [], "decord": [], "PyAV": []}
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        for load in (with_decord, with_pyav):
            peer(load, jobs[:WORKERS], pool)
        for _ in range(args.rounds):
            rates["longvid"].append(longvid(args, 4 * len(jobs) // 2 * 2))
            rates["decord"].append(peer(with_decord, jobs, pool))
            rates["PyAV"].append(peer(with_pyav, jobs, pool))
    print(f"{len(jobs)} videos, {args.rounds} rounds, decord {decord.__version__}, PyAV {av.__version__}\n")
    print("| loader | clips per s, median | lowest | highest | longvid is faster by |\n|---|---:|---:|---:|---:|")
    ours = np.median(rates["longvid"])
    for name, rate in rates.items():
        middle = np.median(rate)
        print(f"| {name} | {middle:.1f} | {min(rate):.1f} | {max(rate):.1f} | {ours / middle:.1f} |")


if __name__ == "__main__":
    main()
