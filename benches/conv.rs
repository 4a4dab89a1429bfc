//! How fast the tokenizer's convolutions are, against the machine's own matrix products: `cargo bench --bench conv`, or
//! `-- layers`, `-- step`, `-- encode` for one part.
//!
//! Rates count multiplications and additions of the convolutions alone, so that whatever stands between them lowers the rate.

use std::io::{self, Write as _};
use std::time::Instant;

use nn::{CausalConv3d, Conv3dConfig, FrameNormSilu, Past};
use serde::Deserialize;
use spec::{ClipSpec, Preset};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use tokenizer::{Beside, LongVideo, Place, Tokenizer, TokenizerConfig};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);
/// Side of the square matrices whose product is the measure.
const GEMM_SIDE: i64 = 2048;
/// A measurement is repeated for this long, and at least so often.
const SECS: f64 = 2.0;
const MIN_TIMES: usize = 3;
const TINY: &str = include_str!("../presets/tokenizer-tiny.toml");
const B: &str = include_str!("../presets/tokenizer-b.toml");

/// What of a tokenizer preset is measured here.
#[derive(Debug, Deserialize)]
struct Recipe {
    clip: ClipSpec,
    tokenizer: TokenizerConfig,
}

fn main() -> io::Result<()> {
    // As the program does, before any tensor exists.
    torch_ext::malloc::keep_freed_memory();
    // Cargo adds options of its own.
    let parts: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let asked = |part: &str| parts.is_empty() || parts.iter().any(|word| word == part);
    let gemm = Gemm::measure()?;
    if asked("layers") {
        layers(&gemm)?;
    }
    if asked("step") {
        steps(&gemm)?;
    }
    if asked("encode") {
        encoding()?;
    }
    Ok(())
}

/// What matrix products reach, operations per second.
struct Gemm(f64);

impl Gemm {
    fn measure() -> io::Result<Self> {
        let [a, b] = [(); 2].map(|()| Tensor::randn([GEMM_SIDE, GEMM_SIDE], CPU));
        let flops = 2.0 * (GEMM_SIDE as f64).powi(3);
        let rate = flops / secs(|| drop(a.matmul(&b)));
        writeln!(io::stdout(), "f32 matrix product: {:.0} GFLOP/s on {} threads", rate / 1e9, tch::get_num_threads())?;
        Ok(Gemm(rate))
    }

    fn report(&self, name: &str, (flops, secs): (f64, f64)) -> io::Result<()> {
        let rate = flops / secs;
        let share = 100.0 * rate / self.0;
        writeln!(io::stdout(), "  {name:44} {:9.2} ms  {:4.0} GFLOP/s  {share:3.0} %", 1e3 * secs, rate / 1e9)
    }
}

/// The shortest of several runs, seconds: other programs only ever add to it.
fn secs(mut run: impl FnMut()) -> f64 {
    run();
    let (began, mut times) = (Instant::now(), Vec::new());
    while times.len() < MIN_TIMES || began.elapsed().as_secs_f64() < SECS {
        let start = Instant::now();
        run();
        times.push(start.elapsed().as_secs_f64());
    }
    times.into_iter().fold(f64::MAX, f64::min)
}

fn forward(run: impl Fn() -> Tensor) -> f64 {
    secs(|| drop(tch::no_grad(&run)))
}

/// Forward and backward, with gradients of all `inputs`.
fn training(inputs: &[Tensor], run: impl Fn() -> Tensor) -> f64 {
    let pull = tch::no_grad(|| run().randn_like());
    secs(|| drop(Tensor::f_run_backward(&[run() * &pull], inputs, false, false).expect("a gradient for each input")))
}

/// Channels innermost in memory, as the layers leave them.
fn activations([b, c, t, h, w]: [i64; 5]) -> Tensor {
    Tensor::randn([b, t, h, w, c], CPU).permute([0, 4, 1, 2, 3]).set_requires_grad(true)
}

/// One 3x3x3 convolution and a residual block of two at each level of tokenizer-b at 224 pixels (a quarter of the frames at
/// the first, whose tensors are large) and of tokenizer-tiny, and one of fewer channels.
fn layers(gemm: &Gemm) -> io::Result<()> {
    for (b, c, t, side) in [
        (2, 32, 16, 64),
        (2, 64, 4, 224),
        (2, 128, 8, 112),
        (2, 128, 8, 56),
        (2, 256, 8, 28),
        (2, 256, 8, 14),
        (4, 64, 8, 8),
    ] {
        writeln!(io::stdout(), "{c} channels, {b} clips of {t} x {side} x {side}")?;
        let vs = VarStore::new(Device::Cpu);
        let x = activations([b, c, t, side, side]);
        let padded = activations([b, c, t + 2, side, side]);
        let flops = 2.0 * 27.0 * (c * c * b * t * side * side) as f64;
        let [first, second] = ["first", "second"].map(|name| Half::new(&vs, name, c));
        let weight = vs.variables().remove("first.conv.weight").expect("the convolution's own");
        let bare = || padded.conv3d(&weight, None::<Tensor>, [1; 3], [0, 1, 1], [1; 3], 1);
        let conv = || first.conv.forward(&x, &mut Past::none()).expect("no failure on the CPU");
        let norm = || first.norm.forward(&x).expect("no failure on the CPU");
        let block = || second.forward(&first.forward(&x)).f_add_(&x).expect("no failure on the CPU");
        let [weights, all] = [vec![weight.shallow_clone()], vs.trainable_variables()].map(|mut inputs| {
            inputs.push(x.shallow_clone());
            inputs
        });
        gemm.report("oneDNN alone, forward", (flops, forward(bare)))?;
        let bare_inputs = [weight.shallow_clone(), padded.shallow_clone()];
        gemm.report("oneDNN alone, and backward", (3.0 * flops, training(&bare_inputs, bare)))?;
        gemm.report("with padding and bias, forward", (flops, forward(conv)))?;
        gemm.report("with padding and bias, and backward", (3.0 * flops, training(&weights, conv)))?;
        let (ahead, both) = (forward(norm), training(&[x.shallow_clone()], norm));
        writeln!(io::stdout(), "  normalization and SiLU: {:.2} ms, and backward {:.2} ms", 1e3 * ahead, 1e3 * both)?;
        gemm.report("residual block, forward", (2.0 * flops, forward(block)))?;
        gemm.report("residual block, and backward", (6.0 * flops, training(&all, block)))?;
    }
    Ok(())
}

/// Half a residual block.
struct Half {
    norm: FrameNormSilu,
    conv: CausalConv3d,
}

impl Half {
    fn new(vs: &VarStore, name: &str, channels: i64) -> Self {
        let path = &(vs.root() / name);
        let conv = CausalConv3d::new(&(path / "conv"), channels, channels, Conv3dConfig::same([3, 3, 3]));
        Half {
            norm: FrameNormSilu::new(&(path / "norm"), channels, 8).expect("8 divides the channels"),
            conv: conv.expect("an odd kernel"),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.norm.forward(x).expect("no failure on the CPU");
        self.conv.forward(&x, &mut Past::none()).expect("no failure on the CPU")
    }
}

/// Whole training steps but for the optimizer: encoder, scorer, quantizer, decoder, losses, and backward.
fn steps(gemm: &Gemm) -> io::Result<()> {
    for (name, preset, b, side) in
        [("tokenizer-tiny", TINY, 4, 64), ("tokenizer-tiny", TINY, 2, 224), ("tokenizer-b", B, 2, 128)]
    {
        let (_vs, model, recipe) = model(preset);
        let window_frames = recipe.tokenizer.time.window_frames();
        let clip_bthwc = pixels([b, window_frames, side, side, 3]);
        let loss = || model.loss(&clip_bthwc, &mut Beside::none(), Place::of_step(1)).expect("shapes that fit").total;
        let flops = b as f64 * conv_flops(&recipe.tokenizer, [window_frames, side, side]);
        let name = format!("{name}, {b} windows of {side} pixels");
        writeln!(io::stdout(), "{name}: {:.1} GFLOP of convolutions forward", flops / 1e9)?;
        gemm.report("forward", (flops, forward(loss)))?;
        gemm.report("forward and backward", (3.0 * flops, secs(|| loss().f_backward().expect("a scalar loss"))))?;
    }
    Ok(())
}

/// Codes and priorities of long clips.
fn encoding() -> io::Result<()> {
    for (name, preset, side) in [
        ("tokenizer-tiny", TINY, 64),
        ("tokenizer-tiny", TINY, 128),
        ("tokenizer-tiny", TINY, 224),
        ("tokenizer-b", B, 128),
        ("tokenizer-b", B, 224),
    ] {
        let (_vs, model, recipe) = model(preset);
        let num_frames = 4 * recipe.tokenizer.time.window_frames();
        let clip_bthwc = pixels([1, num_frames, side, side, 3]);
        let secs = secs(|| drop(model.encode_clip(&clip_bthwc, LongVideo::Windows).expect("shapes that fit")));
        writeln!(io::stdout(), "encode, {name}, {side} x {side}: {:.1} frames/s", num_frames as f64 / secs)?;
    }
    Ok(())
}

fn model(preset: &str) -> (VarStore, Tokenizer, Recipe) {
    let recipe = Preset::from_text("preset", preset).and_then(|preset| preset.parse());
    let recipe: Recipe = recipe.expect("built-in presets parse, which a unit test holds");
    let patch = recipe.clip.check().expect("built-in presets check").patch();
    let vs = VarStore::new(Device::Cpu);
    let checked = recipe.tokenizer.check(patch).expect("built-in presets check");
    let model = Tokenizer::new(&vs.root(), &checked).expect("a model of a checked preset");
    (vs, model, recipe)
}

fn pixels(size: [i64; 5]) -> Tensor {
    Tensor::randint(256, size, (Kind::Uint8, Device::Cpu))
}

/// Multiplications and additions of the encoder's and the decoder's convolutions on one window `[F, H, W]`, forward.
fn conv_flops(config: &TokenizerConfig, window: [i64; 3]) -> f64 {
    let product = |extents: [i64; 3]| extents.iter().product::<i64>();
    let cube = 27 * 2;
    let channels: Vec<i64> = config.channel_mult.iter().map(|mult| mult * config.base_channels).collect();
    let mut places = product(window) / product(config.stem_patch);
    let pixels = 3 * product(config.stem_patch);
    let last = channels[channels.len() - 1];
    let blocks = |c_in: i64, c: i64| {
        let skip = if c_in == c { 0 } else { 2 * c_in * c };
        cube * (c_in * c + c * c + (config.res_blocks - 1) * 2 * c * c) + skip
    };
    // Stem and head of either side, then level after level; the two tails have the last level's grid.
    let pixel_kernel = if config.stem_patch == [1, 1, 1] { cube } else { 2 };
    let mut flops = places * pixel_kernel * 2 * pixels * channels[0];
    let mut c_in = channels[0];
    for (i, &c) in channels.iter().enumerate() {
        flops += places * (blocks(c_in, c) + blocks(c, c));
        if let Some(&stride) = config.strides.get(i) {
            let kernel = product(stride.map(|step| step.max(3)));
            places /= product(stride);
            flops += places * 2 * c * (kernel * c + 27 * channels[i + 1] * product(stride));
        }
        c_in = c;
    }
    let latents = config.quantizer.check().expect("built-in presets check").num_channels();
    flops += places * (2 * blocks(last, last) + 2 * latents * last + cube * latents * last);
    flops as f64
}
