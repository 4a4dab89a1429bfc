use arvideo::Arvideo;
use lvmae::{Cues, Lvmae};
use nn::{Losses, Targets};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use tokenizer::{Beside, Place, Tokenizer, WINDOW_FRAMES};
use train::TrainConfig;
use vector_quantize::Fsq;

use crate::recipe::{Model, Recipe, TokenizerRecipe};

/// A model of a preset, and its objective on one random clip in memory.
pub(crate) struct Lesson {
    pub(crate) vs: VarStore,
    pub(crate) train: TrainConfig,
    /// The objective; masks and orders follow from the number.
    pub(crate) loss: Box<dyn Fn(u64) -> Losses>,
}

impl Lesson {
    /// A pre-training preset, on codes.
    pub(crate) fn pretraining(recipe: Recipe) -> Self {
        let geometry = recipe.geometry();
        let (grid, patch, side) = (geometry.grid(), geometry.patch(), geometry.size_px());
        let num_tokens = grid.num_tokens();
        let fsq = Fsq::new(&[8, 5, 5, 5]).expect("levels in range");
        let clip_bthwc = pixels([1, geometry.num_frames(), side, side, 3]);
        let codes_bn = Tensor::randint(fsq.codebook_size(), [1, num_tokens], (Kind::Int64, Device::Cpu));
        let targets = Targets::Codes(fsq.values_from_codes(&codes_bn).expect("codes in range"));
        let width = fsq.num_channels();

        let vs = VarStore::new(Device::Cpu);
        let loss: Box<dyn Fn(u64) -> Losses> = match &recipe.model {
            Model::Lvmae(config) => {
                let checked = config.check(grid, patch).expect("the frame counts measured here fit");
                let model = Lvmae::new(vs.root(), &checked, width).expect("a model of a checked preset");
                let priorities_n: Vec<f32> = (0..num_tokens).map(|n| n as f32).collect();
                Box::new(move |item| {
                    let mask = checked.mask(&cues(&priorities_n), (0, 0, item)).expect("a priority for each token");
                    model.loss(&clip_bthwc, &[mask], &targets).expect("shapes that fit")
                })
            }
            Model::Arvideo(config) => {
                let checked = config.check(grid, patch).expect("the frame counts measured here fit");
                let model = Arvideo::new(vs.root(), &checked, width).expect("a model of a checked preset");
                Box::new(move |item| {
                    let plan = checked.plan(&[], (0, 0, item)).expect("a preset that reads no priorities");
                    model.loss(&clip_bthwc, &[plan], &targets).expect("shapes that fit")
                })
            }
        };
        Lesson { vs, train: recipe.train, loss }
    }

    /// A tokenizer preset, on one window.
    pub(crate) fn tokenizer(recipe: TokenizerRecipe) -> Self {
        let geometry = recipe.clip.check().expect("built-in presets check");
        let side = geometry.size_px();
        let clip_bthwc = pixels([1, WINDOW_FRAMES, side, side, 3]);
        let checked = recipe.tokenizer.check(geometry.patch()).expect("built-in presets check");
        let vs = VarStore::new(Device::Cpu);
        let model = Tokenizer::new(&vs.root(), &checked).expect("a model of a checked preset");
        let loss = move |_| model.loss(&clip_bthwc, &mut Beside::none(), Place::of_step(1)).expect("shapes that fit");
        Lesson { vs, train: recipe.train, loss: Box::new(loss) }
    }
}

/// What an adaptive mask looks at.
fn cues(priorities_n: &[f32]) -> Cues<'_> {
    Cues { priorities_n: Some(priorities_n), ..Cues::default() }
}

/// Random pixels `[B, T, H, W, 3]`.
fn pixels(size: [i64; 5]) -> Tensor {
    Tensor::randint(256, size, (Kind::Uint8, Device::Cpu))
}
