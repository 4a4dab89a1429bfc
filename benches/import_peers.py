#!/usr/bin/env python3
"""Import against bare ffmpeg: seconds for the same files, decoded and scaled to a short side of 256 pixels, in turns.

    bare      ffmpeg decodes and scales (bicubic) and throws the frames away, as many files at a time as there are cores
    rgb24     the same and converts to RGB, which is what a Python loader works with
    import    longvid data import folder: the same, and checks, JPEG, checksums and the HDF5 file

    python3 benches/import_peers.py --videos VIDEOS --ffmpeg .deps/ffmpeg/bin/ffmpeg --longvid target/release/longvid
"""

import argparse
import concurrent.futures
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

SCALE = "scale=w='if(gt(iw,ih),-2,256)':h='if(gt(iw,ih),256,-2)':flags=bicubic"


def bare(args, paths, extra):
    def one(path):
        command = [args.ffmpeg, "-v", "error", "-nostdin", "-threads", "1", "-i", path, "-an", "-vf", SCALE]
        subprocess.run(command + ["-filter_threads", "1", *extra, "-f", "null", "-"], check=True, stderr=subprocess.DEVNULL)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, paths))


def imported(args, folder):
    command = [args.longvid, "data", "import", "folder", args.videos, "--out", f"{folder}/clips.h5", "--strict"]
    subprocess.run(command, check=True, capture_output=True)
    os.remove(f"{folder}/clips.h5")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", required=True, help="a folder of good files, no sub-folders")
    parser.add_argument("--ffmpeg", default="ffmpeg")
    parser.add_argument("--longvid", default="longvid")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    paths = sorted(str(path) for path in pathlib.Path(args.videos).iterdir() if path.is_file())
    secs = {"bare": [], "rgb24": [], "import": []}
    with tempfile.TemporaryDirectory(dir=".") as folder:
        works = {
            "bare": lambda: bare(args, paths, []),
            "rgb24": lambda: bare(args, paths, ["-pix_fmt", "rgb24", "-c:v", "rawvideo"]),
            "import": lambda: imported(args, folder),
        }
        for _ in range(args.rounds):
            for name, work in works.items():
                began = time.monotonic()
                work()
                secs[name].append(time.monotonic() - began)
    print(f"{len(paths)} files, {args.rounds} rounds\n")
    print("| work | seconds, median | lowest | highest | speed of import, against it |\n|---|---:|---:|---:|---:|")
    ours = statistics.median(secs["import"])
    for name, times in secs.items():
        middle = statistics.median(times)
        print(f"| {name} | {middle:.2f} | {min(times):.2f} | {max(times):.2f} | {middle / ours:.2f} |")


if __name__ == "__main__":
    main()
