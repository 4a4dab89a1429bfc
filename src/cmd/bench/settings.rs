use clap::ValueEnum;
use nn::Attention;
use nn::cost::Computing;
use spec::ClipGeometry;
use tch::Device;
use train::TrainPlan;

use crate::cli::{AttentionArg, BenchModelArgs, MaskArg, RecomputeArg, SizeArg};
use crate::exit::BadInput;
use crate::method::Method;
use crate::planned::{Clips, Planned};
use crate::presets::{self, PretrainPreset};

/// A word of the command line as it is typed.
pub(super) fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl MaskArg {
    /// The mask in a preset's words, at the paper's budget of 15 %; `None` for the preset's own. Running cells ask at no less
    /// than a quarter of the tokens.
    pub(crate) fn setting(self) -> Option<String> {
        let mask = match self {
            MaskArg::Preset => return None,
            MaskArg::None => "{ kind = \"none\" }",
            MaskArg::Random => "{ kind = \"random\", share = 0.15 }",
            MaskArg::Uniform => "{ kind = \"uniform\", share = 0.15 }",
            MaskArg::RunningCell => "{ kind = \"running_cell\", share = 0.25 }",
            MaskArg::Flow => return Some(by_value("flow")),
            MaskArg::Motion => return Some(by_value("motion")),
            MaskArg::Adaptive => return Some(by_value("adaptive")),
        };
        Some(format!("model.decoder_mask={mask}"))
    }
}

/// LVMAE's budget by one value or another.
fn by_value(kind: &str) -> String {
    let rest = r#"salient_share = 0.10, random_share = 0.05, choice = "top", pool = "hidden""#;
    format!("model.decoder_mask={{ kind = \"{kind}\", {rest} }}")
}

impl SizeArg {
    /// Encoder and decoder in a preset's words (VideoMAE's models, all with a decoder of 4 blocks).
    pub(super) fn settings(self) -> Vec<String> {
        let [encoder, decoder] = match self {
            SizeArg::S => [[384, 12, 6], [192, 4, 3]],
            SizeArg::B => [[768, 12, 12], [384, 4, 6]],
            SizeArg::L => [[1024, 24, 16], [512, 4, 8]],
        };
        let of = |network: &str, [width, depth, heads]: [i64; 3]| {
            [("width", width), ("depth", depth), ("heads", heads)]
                .map(|(key, value)| format!("model.{network}.{key}={value}"))
        };
        [of("encoder", encoder), of("decoder", decoder)].concat()
    }
}

impl RecomputeArg {
    /// In a preset's words.
    pub(crate) fn setting(self) -> String {
        format!("model.encoder.recompute=\"{}\"", word(self))
    }
}

impl From<AttentionArg> for Attention {
    fn from(arg: AttentionArg) -> Self {
        match arg {
            AttentionArg::Fused => Attention::Fused,
            AttentionArg::Eager => Attention::Eager,
        }
    }
}

/// A checked preset whose step is measured.
pub(super) struct Setup {
    pub(super) preset: PretrainPreset,
    pub(super) geometry: ClipGeometry,
    pub(super) method: Method,
    pub(super) train: TrainPlan,
    /// Clips of a step.
    pub(super) batch: i64,
}

impl Setup {
    /// * `more` - settings on top of those that were typed
    pub(super) fn check(args: &BenchModelArgs, more: &[String]) -> anyhow::Result<Self> {
        let preset: PretrainPreset = presets::read(&args.preset, &[&args.sets[..], more].concat())?;
        if args.batch < 1 {
            return Err(BadInput("--batch must be at least 1".to_owned()).into());
        }
        let geometry = preset.clip.check()?;
        let method = Method::check(&preset, &geometry)?;
        let train = preset.train.check()?;
        Ok(Setup { preset, geometry, method, train, batch: args.batch })
    }

    /// How it computes on a device.
    pub(super) fn computing(&self, device: Device, attention: Attention) -> Computing {
        Computing { precision: self.train.precision().on(device).into(), attention }
    }

    pub(super) fn planned(&self, computing: Computing) -> Planned {
        let clips = Clips { at_once: self.batch, accumulate: 1 };
        Planned::new(&self.method, (&self.geometry, &self.train), clips, computing)
    }
}
