use arvideo::*;
use nn::*;
use spec::*;
use tch::{Device, Kind, Tensor, nn::VarStore};
#[allow(unsafe_code)]
fn main() {
    torch_ext::memory::install().unwrap();
    torch_ext::malloc::keep_freed_memory();
    let args: Vec<String> = std::env::args().collect();
    let (grid, cluster, keep, enc, dec, b, patch) = if args[1] == "tiny" {
        (Grid { t: 64, h: 8, w: 8 }, [2, 4, 4], 0.2, (192, 4, 3), (128, 4, 4), 4, Patch{t:2,h:8,w:8})
    } else {
        (Grid { t: 64, h: 14, w: 14 }, [2, 7, 7], 0.2, (384, 1, 6), (512, 4, 8), 1, Patch{t:2,h:16,w:16})
    };
    let rec = if args.len() > 2 { Recompute::EveryBlock } else { Recompute::None };
    let cfg = ArvideoConfig {
        encoder: VitConfig { width: enc.0, depth: enc.1, heads: enc.2, position: Position::Separable, recompute: rec },
        decoder: StackConfig { width: dec.0, depth: dec.1, heads: dec.2 },
        cluster, keep_share: keep, order: Order::Random, target: Target::Codes,
    };
    let checked = cfg.check(grid, patch).unwrap();
    let vs = VarStore::new(Device::Cpu);
    let model = Arvideo::new(vs.root(), &checked, 6).unwrap();
    let clip = Tensor::zeros([b, grid.t * patch.t, grid.h * patch.h, grid.w * patch.w, 3], (Kind::Uint8, Device::Cpu));
    let codes = Tensor::rand([b, grid.num_tokens(), 6], (Kind::Float, Device::Cpu));
    let plans: Vec<_> = (0..b).map(|i| checked.plan((0, 0, i as u64))).collect();
    let base = torch_ext::memory::stats(Device::Cpu).unwrap().current_bytes;
    for bpc in [1, 2, 4, 8, 16, 32, 127] {
        // SAFETY: one thread
        #[allow(unsafe_code)] unsafe { std::env::set_var("BPC", bpc.to_string()) };
        let mut best = f64::MAX; let mut bf = f64::MAX;
        torch_ext::memory::reset_peak(Device::Cpu).unwrap();
        for _ in 0..if args[1] == "tiny" { 5 } else { 2 } {
            let t = std::time::Instant::now();
            let l = model.loss(&clip, &plans, Targets::Codes(&codes)).unwrap();
            bf = bf.min(t.elapsed().as_secs_f64());
            l.total.f_backward().unwrap();
            best = best.min(t.elapsed().as_secs_f64());
        }
        let peak = torch_ext::memory::stats(Device::Cpu).unwrap().peak_bytes - base;
        println!("{bpc:4} fwd {bf:.3} step {best:.3} s peak {} MiB", peak >> 20);
    }
}
