use criterion::{BenchmarkId, Criterion, Throughput};
use train::AdamW;

use crate::lesson::Lesson;
use crate::recipe::{Recipe, TokenizerRecipe};

/// Training steps of the tiny presets on one clip: masks, forward, backward, clipping, AdamW.
pub(crate) fn bench(criterion: &mut Criterion) {
    for (name, preset) in [
        ("LVMAE-tiny step", include_str!("../presets/lvmae-tiny-128f.toml")),
        ("ARVideo-tiny step", include_str!("../presets/arvideo-tiny-128f.toml")),
    ] {
        for num_frames in [32, 128] {
            measure(criterion, name, num_frames, Lesson::pretraining(Recipe::new(preset, num_frames)));
        }
    }
    let preset = TokenizerRecipe::new(include_str!("../presets/tokenizer-tiny.toml"));
    measure(criterion, "tokenizer-tiny step", tokenizer::WINDOW_FRAMES, Lesson::tokenizer(preset));
}

fn measure(criterion: &mut Criterion, name: &str, num_frames: i64, lesson: Lesson) {
    let mut step = Step::new(lesson);
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(num_frames as u64));
    group.bench_function(BenchmarkId::new("frames", num_frames), |b| b.iter(|| step.take()));
    group.finish();
}

/// A model and its optimizer.
struct Step {
    lesson: Lesson,
    optimizer: AdamW,
    clip_grad_norm: Option<f64>,
    num_taken: u64,
}

impl Step {
    fn new(lesson: Lesson) -> Self {
        let plan = lesson.train.check().expect("built-in presets check");
        let optimizer = AdamW::new(&lesson.vs, plan.adamw()).expect("an optimizer of float variables");
        Step { lesson, optimizer, clip_grad_norm: plan.clip_grad_norm(), num_taken: 0 }
    }

    fn take(&mut self) {
        self.num_taken += 1;
        self.optimizer.drop_gradients().expect("no failure on the CPU");
        (self.lesson.loss)(self.num_taken).total.f_backward().expect("a scalar loss");
        self.optimizer.clip_grad_norm(self.clip_grad_norm).expect("no failure on the CPU");
        self.optimizer.step(1e-6).expect("no failure on the CPU");
    }
}
