use arvideo::Arvideo;
use criterion::{BenchmarkId, Criterion, Throughput};
use lvmae::Lvmae;
use nn::{Losses, Targets};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use train::AdamW;
use vector_quantize::Fsq;

use crate::recipe::{Model, Recipe};

/// Pre-training steps of the tiny presets on one clip: masks, forward, backward, clipping, AdamW.
pub(crate) fn bench(criterion: &mut Criterion) {
    for (name, preset) in [
        ("LVMAE-tiny step", include_str!("../presets/lvmae-tiny-128f.toml")),
        ("ARVideo-tiny step", include_str!("../presets/arvideo-tiny-128f.toml")),
    ] {
        let mut group = criterion.benchmark_group(name);
        for num_frames in [32, 128] {
            let mut step = Step::new(&Recipe::new(preset, num_frames));
            group.throughput(Throughput::Elements(num_frames as u64));
            group.bench_function(BenchmarkId::new("frames", num_frames), |b| b.iter(|| step.take()));
        }
        group.finish();
    }
}

/// A model, its optimizer, and the objective on a random clip.
struct Step {
    loss: Box<dyn Fn(u64) -> Losses>,
    optimizer: AdamW,
    learning_rate: f64,
    clip_grad_norm: Option<f64>,
    num_taken: u64,
}

impl Step {
    fn new(recipe: &Recipe) -> Self {
        let geometry = recipe.geometry();
        let (grid, patch, side) = (geometry.grid(), geometry.patch(), geometry.size_px());
        let num_tokens = grid.num_tokens();
        let fsq = Fsq::new(&[8, 5, 5, 5]).expect("levels in range");
        let clip_bthwc = Tensor::randint(256, [1, geometry.num_frames(), side, side, 3], (Kind::Uint8, Device::Cpu));
        let codes_bn = Tensor::randint(fsq.codebook_size(), [1, num_tokens], (Kind::Int64, Device::Cpu));
        let codes_bnc = fsq.values_from_codes(&codes_bn).expect("codes in range");
        let width = fsq.num_channels();

        let vs = VarStore::new(Device::Cpu);
        let loss: Box<dyn Fn(u64) -> Losses> = match &recipe.model {
            Model::Lvmae(config) => {
                let checked = config.check(grid, patch).expect("the frame counts measured here fit");
                let model = Lvmae::new(vs.root(), &checked, width).expect("a model of a checked preset");
                let priorities_n: Vec<f32> = (0..num_tokens).map(|n| n as f32).collect();
                Box::new(move |item| {
                    let mask = checked.mask(Some(&priorities_n), (0, 0, item)).expect("a priority for each token");
                    model.loss(&clip_bthwc, &[mask], Targets::Codes(&codes_bnc)).expect("shapes that fit")
                })
            }
            Model::Arvideo(config) => {
                let checked = config.check(grid, patch).expect("the frame counts measured here fit");
                let model = Arvideo::new(vs.root(), &checked, width).expect("a model of a checked preset");
                Box::new(move |item| {
                    let plan = checked.plan((0, 0, item));
                    model.loss(&clip_bthwc, &[plan], Targets::Codes(&codes_bnc)).expect("shapes that fit")
                })
            }
        };
        let plan = recipe.train.check().expect("built-in presets check");
        let optimizer = AdamW::new(&vs, plan.adamw()).expect("an optimizer of float variables");
        let clip_grad_norm = plan.clip_grad_norm();
        Step { loss, optimizer, learning_rate: 1e-6, clip_grad_norm, num_taken: 0 }
    }

    fn take(&mut self) {
        self.num_taken += 1;
        self.optimizer.zero_grad().expect("no failure on the CPU");
        (self.loss)(self.num_taken).total.f_backward().expect("a scalar loss");
        self.optimizer.clip_grad_norm(self.clip_grad_norm).expect("no failure on the CPU");
        self.optimizer.step(self.learning_rate).expect("no failure on the CPU");
    }
}
