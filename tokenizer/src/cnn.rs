use nn::{CausalConv3d, Conv3dConfig, During, FrameNormSilu, NnError, Past};
use tch::nn::Path;
use tch::{TchError, Tensor};

use crate::CheckedTokenizer;

const CUBE: [i64; 3] = [3, 3, 3];
const POINT: [i64; 3] = [1, 1, 1];

/// MAGVIT's residual block: twice (normalize, SiLU, convolve 3x3x3), around it a skip that changes the channels if needed.
#[derive(Debug)]
struct ResBlock {
    norms: [FrameNormSilu; 2],
    convs: [CausalConv3d; 2],
    skip: Option<CausalConv3d>,
}

impl ResBlock {
    fn new(path: &Path, c_in: i64, c_out: i64, num_groups: i64) -> Result<Self, NnError> {
        let cube = |name: &str, c_in| CausalConv3d::new(&(path / name), c_in, c_out, Conv3dConfig::same(CUBE));
        Ok(ResBlock {
            norms: [
                FrameNormSilu::new(&(path / "norm1"), c_in, num_groups)?,
                FrameNormSilu::new(&(path / "norm2"), c_out, num_groups)?,
            ],
            convs: [cube("conv1", c_in)?, cube("conv2", c_out)?.zeroed()?],
            skip: match c_in == c_out {
                true => None,
                false => Some(CausalConv3d::new(&(path / "skip"), c_in, c_out, Conv3dConfig::same(POINT))?),
            },
        })
    }

    fn forward(&self, x_bcthw: &Tensor, past: &mut Past) -> Result<Tensor, NnError> {
        let mut x = x_bcthw.shallow_clone();
        for (norm, conv) in self.norms.iter().zip(&self.convs) {
            x = conv.forward(&norm.forward(&x)?, past)?;
        }
        match &self.skip {
            // In place: no gradient needs what a convolution put out.
            Some(skip) => x.f_add_(&skip.forward(x_bcthw, past)?),
            None => x.f_add_(x_bcthw),
        }
        .during("a residual block")
    }
}

/// `count` residual blocks, the first of which goes from `c_in` to `c_out` channels.
fn blocks(path: &Path, count: i64, channels: [i64; 2], num_groups: i64) -> Result<Vec<ResBlock>, NnError> {
    let [c_in, c_out] = channels;
    (0..count).map(|i| ResBlock::new(&(path / i), if i == 0 { c_in } else { c_out }, c_out, num_groups)).collect()
}

fn run(blocks: &[ResBlock], x: Tensor, past: &mut Past) -> Result<Tensor, NnError> {
    blocks.iter().try_fold(x, |x, block| block.forward(&x, past))
}

/// Frames to latents: stem, levels of residual blocks with strided convolutions between them, a tail of residual blocks, one
/// channel per FSQ dimension.
#[derive(Debug)]
pub(crate) struct Encoder {
    stem_patch: [i64; 3],
    stem: CausalConv3d,
    levels: Vec<Vec<ResBlock>>,
    /// After each level but the last.
    downs: Vec<CausalConv3d>,
    tail: Vec<ResBlock>,
    norm: FrameNormSilu,
    head: CausalConv3d,
}

impl Encoder {
    pub(crate) fn new(path: &Path, checked: &CheckedTokenizer) -> Result<Self, NnError> {
        let config = checked.config();
        let (count, groups) = (config.res_blocks, config.norm_groups);
        let channels = checked.channels();
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let stem_channels = 3 * config.stem_patch.iter().product::<i64>();
        let (mut levels, mut downs) = (Vec::new(), Vec::new());
        let mut c_in = first;
        for (i, &c) in channels.iter().enumerate() {
            levels.push(blocks(&(path / "levels" / i), count, [c_in, c], groups)?);
            if let Some(&stride) = config.strides.get(i) {
                let kernel = stride.map(|step| step.max(3));
                downs.push(CausalConv3d::new(&(path / "downs" / i), c, c, Conv3dConfig { kernel, stride })?);
            }
            c_in = c;
        }
        Ok(Encoder {
            stem_patch: config.stem_patch,
            stem: CausalConv3d::new(&(path / "stem"), stem_channels, first, pixel_kernel(config.stem_patch))?,
            levels,
            downs,
            tail: blocks(&(path / "tail"), count, [last, last], groups)?,
            norm: FrameNormSilu::new(&(path / "norm"), last, groups)?,
            head: CausalConv3d::new(
                &(path / "head"),
                last,
                checked.quantizer().num_channels(),
                Conv3dConfig::same(POINT),
            )?,
        })
    }

    /// `frames_bthwc` `[B, F, Y, X, 3]` f32 in `[-1, 1]` to latents `[B, T, H, W, D]` before quantization. `past` is that of
    /// the frames.
    pub(crate) fn forward(&self, frames_bthwc: &Tensor, past: &mut Past) -> Result<Tensor, NnError> {
        let folded = fold_space(frames_bthwc, self.stem_patch).and_then(|x| x.f_permute([0, 4, 1, 2, 3]));
        let mut x = self.stem.forward(&folded.during("encoding")?, past)?;
        for (i, level) in self.levels.iter().enumerate() {
            x = run(level, x, past)?;
            if let Some(down) = self.downs.get(i) {
                x = down.forward(&x, past)?;
            }
        }
        let x = self.norm.forward(&run(&self.tail, x, past)?)?;
        self.head.forward(&x, past)?.f_permute([0, 2, 3, 4, 1]).during("encoding")
    }
}

/// Quantized latents to frames: the encoder's mirror, with depth-to-space between levels. No normalization stands before the
/// last convolution: it would take away each frame's brightness and contrast, which the output has to have.
#[derive(Debug)]
pub(crate) struct Decoder {
    stem_patch: [i64; 3],
    stem: CausalConv3d,
    tail: Vec<ResBlock>,
    /// From tokens to pixels.
    levels: Vec<Vec<ResBlock>>,
    /// After each level but the last: stride and the convolution at the finer grid.
    ups: Vec<([i64; 3], CausalConv3d)>,
    head: CausalConv3d,
}

impl Decoder {
    pub(crate) fn new(path: &Path, checked: &CheckedTokenizer) -> Result<Self, NnError> {
        let config = checked.config();
        let (count, groups) = (config.res_blocks, config.norm_groups);
        let channels = checked.channels();
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let pixels = 3 * config.stem_patch.iter().product::<i64>();
        let mut levels = Vec::new();
        let mut ups = Vec::new();
        for (i, &c) in channels.iter().enumerate().rev() {
            levels.push(blocks(&(path / "levels" / i), count, [c, c], groups)?);
            if i > 0 {
                let stride = config.strides[i - 1];
                let c_out = channels[i - 1] * stride.iter().product::<i64>();
                ups.push((stride, CausalConv3d::new(&(path / "ups" / i), c, c_out, Conv3dConfig::same(CUBE))?));
            }
        }
        Ok(Decoder {
            stem_patch: config.stem_patch,
            stem: CausalConv3d::new(
                &(path / "stem"),
                checked.quantizer().num_channels(),
                last,
                Conv3dConfig::same(CUBE),
            )?,
            tail: blocks(&(path / "tail"), count, [last, last], groups)?,
            levels,
            ups,
            head: CausalConv3d::new(&(path / "head"), first, pixels, pixel_kernel(config.stem_patch))?.zeroed()?,
        })
    }

    /// Weights of the last convolution, sharing storage.
    pub(crate) fn last_layer(&self) -> Tensor {
        self.head.variables()[0].shallow_clone()
    }

    /// `values_bthwd` `[B, T, H, W, D]` to frames `[B, F, Y, X, 3]`, meant to lie in `[-1, 1]` but not clamped. `past` is that
    /// of the values.
    pub(crate) fn forward(&self, values_bthwd: &Tensor, past: &mut Past) -> Result<Tensor, NnError> {
        let mut x = self.stem.forward(&values_bthwd.f_permute([0, 4, 1, 2, 3]).during("decoding")?, past)?;
        x = run(&self.tail, x, past)?;
        for (i, level) in self.levels.iter().enumerate() {
            x = run(level, x, past)?;
            if let Some((stride, conv)) = self.ups.get(i) {
                x = unfold_space(&conv.forward(&x, past)?, *stride).during("decoding")?;
            }
        }
        let x = self.head.forward(&x, past)?;
        unfold_space(&x, self.stem_patch).and_then(|x| x.f_permute([0, 2, 3, 4, 1])).during("decoding")
    }
}

/// Between pixels and the first level: 3x3x3 as in MAGVIT, or a cube by itself where cubes are folded, whose many channels
/// would make a 3x3x3 kernel cost more than all other layers.
fn pixel_kernel(stem_patch: [i64; 3]) -> Conv3dConfig {
    Conv3dConfig::same(if stem_patch == [1, 1, 1] { CUBE } else { POINT })
}

/// Stacks the pixels of each cube as channels: `[B, T t, H h, W w, C]` to `[B, T, H, W, t h w C]`.
fn fold_space(x_bthwc: &Tensor, cube: [i64; 3]) -> Result<Tensor, TchError> {
    let (b, t, h, w, c) = x_bthwc.size5()?;
    let [ct, ch, cw] = cube;
    let cubes = x_bthwc.f_reshape([b, t / ct, ct, h / ch, ch, w / cw, cw, c])?.f_permute([0, 1, 3, 5, 2, 4, 6, 7])?;
    cubes.f_reshape([b, t / ct, h / ch, w / cw, ct * ch * cw * c])
}

/// The inverse of [`fold_space`] on features: `[B, t h w C, T, H, W]` to `[B, C, T t, H h, W w]` (depth to space).
fn unfold_space(x_bcthw: &Tensor, cube: [i64; 3]) -> Result<Tensor, TchError> {
    let (b, c, t, h, w) = x_bcthw.size5()?;
    let [ct, ch, cw] = cube;
    let c_out = c / (ct * ch * cw);
    // Spelled with the channels innermost, as the convolutions leave them, so that one copy suffices.
    x_bcthw
        .f_permute([0, 2, 3, 4, 1])?
        .f_reshape([b, t, h, w, ct, ch, cw, c_out])?
        .f_permute([0, 1, 4, 2, 5, 3, 6, 7])?
        .f_reshape([b, t * ct, h * ch, w * cw, c_out])?
        .f_permute([0, 4, 1, 2, 3])
}
