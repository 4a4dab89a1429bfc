#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]
use std::collections::BTreeMap;
use std::time::Instant;
use tch::nn::{AdamW, OptimizerConfig, VarStore};
use tch::{Device, Kind, Tensor};
use tokenizer::*;

fn main() {
    torch_ext::malloc::keep_freed_memory();
    tch::set_num_threads(std::env::var("T").map_or(2, |t| t.parse().unwrap()));
    let arg: BTreeMap<String, String> = std::env::args()
        .skip(1)
        .map(|a| {
            let (k, v) = a.split_once('=').unwrap();
            (k.into(), v.into())
        })
        .collect();
    let get = |k: &str, d: &str| arg.get(k).cloned().unwrap_or(d.into());
    let list = |k: &str, d: &str| -> Vec<i64> {
        get(k, d).split(',').filter(|s| !s.is_empty()).map(|s| s.parse().unwrap()).collect()
    };
    let num = |k: &str, d: &str| -> f64 { get(k, d).parse().unwrap() };
    let stem = list("stem", "2,4,4");
    let strides: Vec<[i64; 3]> = get("strides", "1,2,2")
        .split(';')
        .filter(|s| !s.is_empty())
        .map(|s| {
            let v: Vec<i64> = s.split(',').map(|x| x.parse().unwrap()).collect();
            [v[0], v[1], v[2]]
        })
        .collect();
    let config = TokenizerConfig {
        levels: list("levels", "8,8,8,8,8,8"),
        base_channels: num("base", "32") as i64,
        channel_mult: list("mult", "1,2"),
        stem_patch: [stem[0], stem[1], stem[2]],
        strides,
        res_blocks: num("blocks", "1") as i64,
        norm_groups: 8,
        scorer: ScorerConfig { channels: num("sc", "16") as i64, strides: [[2, 4, 4], [1, 2, 2]] },
        top_k: TopKConfig { keep_ratio: num("keep", "0.5"), temperature: num("temp", "0.5") },
        loss: LossConfig {
            recon: if get("recon", "l1") == "l1" { Recon::L1 } else { Recon::L2 },
            frame_diff_weight: num("diff", "0"),
        },
    };
    tch::manual_seed(1);
    let vs = VarStore::new(Device::Cpu);
    let tok = Tokenizer::new(&vs.root(), &config.check(spec::Patch { t: 2, h: 8, w: 8 }).unwrap()).unwrap();
    let params: i64 = vs.trainable_variables().iter().map(|v| v.numel() as i64).sum();
    let (mut train, mut held) = (Vec::new(), Vec::new());
    let mut names: Vec<_> = std::fs::read_dir("/tmp/tokvid")
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "rgb"))
        .collect();
    names.sort();
    for p in names {
        let bytes = std::fs::read(&p).unwrap();
        let n = bytes.len() as i64 / 12288;
        if n < 16 {
            continue;
        }
        let name = p.file_stem().unwrap().to_str().unwrap().to_owned();
        let clip = Tensor::from_slice(&bytes).view([n, 64, 64, 3]);
        let out = ["sam2_01", "carphone", "yoga", "jesse", "bikes", "making_cake", "one-by-one", "flipping"]
            .iter()
            .any(|h| name.contains(h))
            || name.ends_with("_13")
            || name.ends_with("_14");
        if out { held.push((name, clip)) } else { train.push(clip) }
    }
    let eval: Vec<Tensor> = held.iter().map(|(_, c)| c.narrow(0, (c.size()[0] - 16) / 2, 16)).collect();
    let eval = Tensor::stack(&eval, 0);
    let psnr = |a: &Tensor| {
        let mse = (a.to_kind(Kind::Float) - eval.to_kind(Kind::Float)).square().mean_dim(
            [1i64, 2, 3, 4].as_slice(),
            false,
            Kind::Float,
        );
        let p: Tensor = mse.log10() * -10.0 + 20.0 * 255f64.log10();
        (
            p.mean(Kind::Float).double_value(&[]),
            20.0 * 255f64.log10() - 10.0 * mse.mean(Kind::Float).double_value(&[]).log10(),
        )
    };
    println!("train {} held {} params {}k", train.len(), held.len(), params / 1000);
    let (steps, batch, lr) = (num("steps", "300") as i64, num("batch", "8") as i64, num("lr", "2e-3"));
    let mut opt = AdamW { wd: 0.0, beta1: num("b1", "0.9"), beta2: num("b2", "0.99"), ..Default::default() }
        .build(&vs, lr)
        .unwrap();
    let mut state = 7u64;
    let mut rnd = |n: i64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 33) as i64) % n
    };
    let start = Instant::now();
    let mut spent = 0.0;
    for step in 0..steps {
        let warm = 20.0f64.min(steps as f64 / 10.0);
        let f = if (step as f64) < warm {
            (step as f64 + 1.0) / warm
        } else {
            0.5 * (1.0 + (std::f64::consts::PI * (step as f64 - warm) / (steps as f64 - warm)).cos())
        };
        opt.set_lr(lr * f.max(0.02));
        let clips: Vec<Tensor> = (0..batch)
            .map(|_| {
                let c = &train[rnd(train.len() as i64) as usize];
                let s = rnd(c.size()[0] - 15);
                let c = c.narrow(0, s, 16);
                if rnd(2) == 0 { c.flip([2]) } else { c }
            })
            .collect();
        let clip = Tensor::stack(&clips, 0);
        let t = Instant::now();
        let losses = tok.loss(&clip).unwrap();
        opt.zero_grad();
        losses.total.f_backward().unwrap();
        opt.clip_grad_norm(num("clip", "1.0"));
        opt.step();
        spent += t.elapsed().as_secs_f64();
        if (step + 1) % (steps / num("evals", "6") as i64) == 0 {
            let all = psnr(&tok.reconstruct(&eval, Keep::All).unwrap());
            let half = psnr(&tok.reconstruct(&eval, Keep::Share(num("keep", "0.5"))).unwrap());
            let terms: Vec<String> =
                losses.terms.iter().map(|(n, t)| format!("{n} {:.3}", t.double_value(&[]))).collect();
            println!(
                "step {} {:.0}s {:.3}s/step | all {:.2} ({:.2}) half {:.2} ({:.2}) | {}",
                step + 1,
                start.elapsed().as_secs_f64(),
                spent / (step + 1) as f64,
                all.0,
                all.1,
                half.0,
                half.1,
                terms.join(" ")
            );
        }
    }
    if let Some(dir) = arg.get("out") {
        let toks = tok.encode_clip(&eval).unwrap();
        let all = tok.reconstruct(&eval, Keep::All).unwrap();
        let half = tok.reconstruct(&eval, Keep::Share(0.5)).unwrap();
        let pri = toks.priorities.view([-1, 8, 8, 8]);
        let max = pri.amax([1i64, 2, 3].as_slice(), true);
        let heat = (pri / max).clamp(0.0, 1.0) * 255.0;
        let heat = heat
            .repeat_interleave_self_int(2, 1, None)
            .repeat_interleave_self_int(8, 2, None)
            .repeat_interleave_self_int(8, 3, None)
            .to_kind(Kind::Uint8)
            .unsqueeze(-1)
            .repeat([1, 1, 1, 1, 3]);
        let sheet = Tensor::cat(&[&eval, &all, &half, &heat], 2); // [n,16,256,64,3]
        for i in 0..sheet.size()[0] {
            let s = sheet.get(i).slice(0, 1, 16, 2).permute([1, 0, 2, 3]).contiguous().view([256, -1, 3]);
            tch::vision::image::save(&s.permute([2, 0, 1]), format!("{dir}/{:02}_{}.png", i, held[i as usize].0))
                .unwrap();
        }
    }
}
