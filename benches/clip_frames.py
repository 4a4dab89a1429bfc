"""Frames of a clip store as `longvid` cuts them to clips without augmentation: docs/formats.md, in Python.

Pillow decodes JPEG a little differently: on real clips the mean squared difference to `longvid`'s u8 pixels was 0.2 to 0.5.
"""

import io
import math

import h5py
import numpy as np
from PIL import Image

WINDOW_FRAMES = 16


def timeline(num_frames, frames_per_sec, clip):
    """Stored frames of a whole video's timeline, the filling included, and how many are before it: docs/formats.md."""
    secs = num_frames / frames_per_sec
    if clip["sampling"]["kind"] == "segment":
        num_real, share_secs = clip["num_frames"], secs / clip["num_frames"]
    else:
        rate = clip["sampling"]["frames_per_sec"]
        num_real, share_secs = max(math.ceil(secs * rate - 0.5), 1), min(1 / rate, secs)
    times = (np.arange(num_real) + 0.5) * share_secs
    frames = np.minimum(np.floor(times * frames_per_sec + 1e-6).astype(int), num_frames - 1)
    length = math.ceil(max(num_real, clip["num_frames"]) / WINDOW_FRAMES) * WINDOW_FRAMES
    filling = np.arange(num_real, length) % num_real if clip["short"] == "loop" else [num_real - 1] * (length - num_real)
    return np.concatenate([frames, frames[filling]]) if length > num_real else frames, num_real


def read_clips(path, clip):
    """Of each segment its name, its timeline's centre squares `[F, S, S, 3]` u8, and its number of real frames."""
    side, clips = clip["size_px"], []
    with h5py.File(path) as store:
        videos = store["videos"]
        assert len(store["segments/id"]) == len(videos["name"]), "a segment is a whole video here"
        for k, name in enumerate(store["segments/id"].asstr()):
            first, height, width = (int(videos[key][k]) for key in ("first_frame", "height_px", "width_px"))
            assert min(height, width) == side, "frames are cut here, not resized"
            top, left = (height - side) // 2, (width - side) // 2
            frames, num_real = timeline(int(videos["num_frames"][k]), videos["frames_per_sec"][k], clip)
            squares = {}
            for frame in set(frames):
                start, stop = store["frames/offset"][first + frame : first + frame + 2]
                picture = np.asarray(Image.open(io.BytesIO(store["frames/blob"][start:stop].tobytes())))
                squares[frame] = picture[top : top + side, left : left + side]
            clips.append((name, np.stack([squares[frame] for frame in frames]), num_real))
    return clips
