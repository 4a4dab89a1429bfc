"""Frames of a clip store as `longvid` cuts them to clips: docs/formats.md, in Python.

Pillow decodes JPEG a little differently: on real clips the mean squared difference to `longvid`'s u8 pixels was 0.2 to 0.5.
"""

import io
import math

import h5py
import numpy as np
from PIL import Image

WINDOW_FRAMES = 16


class Clip:
    """A segment's stored frames, and how timelines, windows and squares are cut from them: docs/formats.md."""

    def __init__(self, name, frames, frames_per_sec, preset):
        """`frames`: all that are stored, u8 `[F, H, W, 3]`, their shorter side that of the preset's clips."""
        self.name, self.frames, self.frames_per_sec = name, frames, frames_per_sec
        self.clip, self.augment = preset["clip"], preset["augment"]
        assert min(frames.shape[1:3]) == self.clip["size_px"], "frames are cut here, not resized"
        secs = len(frames) / frames_per_sec
        if self.clip["sampling"]["kind"] == "segment":
            self.num_real, self.share_secs = self.clip["num_frames"], secs / self.clip["num_frames"]
        else:
            rate = self.clip["sampling"]["frames_per_sec"]
            self.num_real, self.share_secs = max(math.ceil(secs * rate - 0.5), 1), min(1 / rate, secs)

    def timeline(self, instants):
        """Stored frames at `instants` (shares of each share of time, `[num_real]`), the filling included."""
        times = (np.arange(self.num_real) + instants) * self.share_secs
        frames = np.minimum(np.floor(times * self.frames_per_sec + 1e-6).astype(int), len(self.frames) - 1)
        length = math.ceil(max(self.num_real, self.clip["num_frames"]) / WINDOW_FRAMES) * WINDOW_FRAMES
        left = length - self.num_real
        filling = np.arange(left) % self.num_real if self.clip["short"] == "loop" else np.full(left, self.num_real - 1)
        return np.concatenate([frames, frames[filling]])

    def squares(self, frames, rng=None):
        """Squares of stored frames: from the centre, or from anywhere."""
        side = self.clip["size_px"]
        free = [whole - side for whole in self.frames.shape[1:3]]
        top, left = (pixels // 2 if rng is None else rng.integers(pixels + 1) for pixels in free)
        return self.frames[frames, top : top + side, left : left + side]

    def centre(self, num_frames):
        """The first frames of the timeline as clips are tested: middle instants, centre squares."""
        return self.squares(self.timeline(0.5)[:num_frames])

    def window(self, step_frames, rng):
        """Frames of a window at a random place, varied as the preset's `[augment]` says."""
        instants = rng.random(self.num_real) if self.augment["instants"] == "random" else 0.5
        start = step_frames * rng.integers(max(self.num_real - WINDOW_FRAMES, 0) // step_frames + 1)
        frames = self.timeline(instants)[start : start + WINDOW_FRAMES]
        window = self.squares(frames, rng if self.augment["crop"]["kind"] == "random" else None)
        return window[:, :, ::-1] if rng.random() < self.augment["flip"].get("probability", 0) else window


def read_clips(path, preset):
    """The segments of a clip store."""
    clips = []
    with h5py.File(path) as store:
        videos = store["videos"]
        assert len(store["segments/id"]) == len(videos["name"]), "a segment is a whole video here"
        for k, name in enumerate(store["segments/id"].asstr()):
            first, num_frames = int(videos["first_frame"][k]), int(videos["num_frames"][k])
            offsets = store["frames/offset"][first : first + num_frames + 1]
            blobs = (store["frames/blob"][start:stop] for start, stop in zip(offsets, offsets[1:]))
            frames = np.stack([np.asarray(Image.open(io.BytesIO(blob.tobytes()))) for blob in blobs])
            clips.append(Clip(name, frames, videos["frames_per_sec"][k], preset))
    return clips
