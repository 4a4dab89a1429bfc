"""magvit2-pytorch's VideoTokenizer as tokenizer_peers.py trains and tests it."""

import math
import time
import warnings

import numpy as np
import torch

warnings.filterwarnings("ignore", category=FutureWarning)

from clip_frames import WINDOW_FRAMES
from magvit2_pytorch import VideoTokenizer
from magvit2_pytorch.optimizer import get_optimizer

SIZE_PX = 64
README = ("residual", "compress_space", ("consecutive_residual", 2), "compress_space", ("consecutive_residual", 2),
          "linear_attend_space", "compress_space", ("consecutive_residual", 2), "attend_space", "compress_time",
          ("consecutive_residual", 2), "attend_time")
PLAIN = ("residual", "compress_space", "residual", "compress_space", "residual", "compress_space", "residual",
         "compress_time", "residual")
# Each halves rows and columns three times and time once.
SHAPES = {
    "README, 64 wide": {"layers": README, "init_dim": 64},
    "README, 16 wide": {"layers": README, "init_dim": 16},
    "plain, 16 wide": {"layers": PLAIN, "init_dim": 16, "input_conv_kernel_size": (3, 3, 3)},
    "plain, 8 wide": {"layers": PLAIN, "init_dim": 8, "input_conv_kernel_size": (3, 3, 3)},
}


def batches(clips, step_frames, batch, rng):
    """Windows as `longvid` draws them: every clip once per epoch, each at a random place. `[B, 3, 16, S, S]`."""
    order = []
    while True:
        windows = []
        for _ in range(batch):
            order = order or list(rng.permutation(len(clips)))
            windows.append(clips[order.pop()].window(step_frames, rng))
        yield to_video(np.stack(windows))


def to_video(windows):
    """u8 `[B, 16, S, S, 3]` to `[B, 3, 16, S, S]`, -1 to 1."""
    video = torch.from_numpy(windows).permute(0, 4, 1, 2, 3).to(torch.float32) / 127.5 - 1
    return video.contiguous(memory_format=torch.channels_last_3d)


def build(shape, quantizer):
    """A network that learns by the mean squared error alone."""
    tokenizer = VideoTokenizer(image_size=SIZE_PX, use_gan=False, perceptual_loss_weight=0.0, **shape, **quantizer)
    for weight in tokenizer.parameters():
        if weight.ndim == 5:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last_3d)
    return tokenizer.train()


def train(tokenizer, feed, learning_rate, secs):
    """Trains for so many seconds; warm-up over the first twentieth, then a cosine to a twentieth of the rate. Steps done."""
    optimizer = get_optimizer(tokenizer.parameters(), lr=learning_rate)
    began, steps = time.monotonic(), 0
    while (done := (time.monotonic() - began) / secs) < 1:
        decay = 0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * max(done - 0.05, 0) / 0.95))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(decay, max(done / 0.05, 0.01))
        loss, _ = tokenizer(next(feed), return_loss=True, video_contains_first_frame=False)
        if not torch.isfinite(loss):
            return steps
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tokenizer.parameters(), 1.0)
        optimizer.step()
        steps += 1
    return steps


@torch.no_grad()
def psnr_db(tokenizer, clips, num_frames, grid):
    """PSNR of each clip's first frames, drawn from all tokens of windows side by side."""
    tokenizer.eval()
    answer = []
    for clip in clips:
        frames = clip.centre(num_frames)
        windows = frames.reshape(-1, WINDOW_FRAMES, *frames.shape[1:])
        squared = []
        for window in windows:
            wanted = {"return_codes": True, "return_recon": True, "video_contains_first_frame": False}
            codes, drawn = tokenizer(to_video(window[None]), **wanted)
            assert tuple(codes.shape[1:]) == grid, (codes.shape, grid)
            drawn = ((drawn[0] + 1) * 127.5).round().clamp(0, 255).permute(1, 2, 3, 0).numpy()
            squared.append(np.square(drawn - window.astype(np.float64)).mean())
        answer.append(10 * math.log10(255**2 / max(np.mean(squared), 1e-12)))
    return answer
