use criterion::{BenchmarkId, Criterion, Throughput};
use lvmae::Cues;
use rand::RngExt as _;
use spec::{Purpose, rng_for};

use crate::recipe::{Model, Recipe};

/// LVMAE's masks of one clip at the paper's grid: 90 % hidden by tubes, 15 % of all tokens chosen by priority and at random.
pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tube and adaptive mask");
    for num_frames in [16, 128] {
        let recipe = Recipe::new(include_str!("../presets/lvmae-b-128f.toml"), num_frames);
        let geometry = recipe.geometry();
        let Model::Lvmae(config) = recipe.model else { unreachable!("the preset is LVMAE's") };
        let checked = config.check(geometry.grid(), geometry.patch()).expect("built-in presets check");
        let num_tokens = geometry.grid().num_tokens();
        let mut rng = rng_for(0, 0, 0, Purpose::Eval);
        let priorities_n: Vec<f32> = (0..num_tokens).map(|_| rng.random()).collect();
        let cues = Cues { priorities_n: Some(&priorities_n), ..Cues::default() };
        let mut item = 0;
        group.throughput(Throughput::Elements(num_tokens as u64));
        group.bench_function(BenchmarkId::new("tokens", num_tokens), |b| {
            b.iter(|| {
                item += 1;
                checked.mask(&cues, (0, 0, item)).expect("a priority for each token")
            });
        });
    }
    group.finish();
}
