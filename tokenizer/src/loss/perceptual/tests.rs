use super::*;

/// As in `golden.py`, beside this file.
const CHANNELS: [i64; 5] = [4, 6, 8, 8, 8];

/// `scale * sin(0.7 i + phase)`.
fn wave(shape: &[i64], phase: f64, scale: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| (scale * (0.7 * i as f64 + phase).sin()) as f32).collect();
    Tensor::from_slice(&values).view(shape)
}

fn file(with_heads: bool) -> BTreeMap<String, Tensor> {
    let (mut tensors, mut c_in) = (BTreeMap::new(), 3);
    for (places, c_out) in STAGES.iter().zip(CHANNELS) {
        for place in *places {
            let weight = wave(&[c_out, c_in, 3, 3], c_in as f64, (4.0 / (9.0 * c_in as f64)).sqrt());
            tensors.insert(format!("features.{place}.weight"), weight);
            tensors.insert(format!("features.{place}.bias"), wave(&[c_out], c_out as f64, 0.1));
            c_in = c_out;
        }
    }
    for (i, channels) in CHANNELS.iter().enumerate().filter(|_| with_heads) {
        tensors.insert(format!("lin{i}.model.1.weight"), wave(&[1, *channels, 1, 1], i as f64, 1.0).abs());
    }
    tensors
}

fn perceptual(tensors: &BTreeMap<String, Tensor>, frames: i64) -> Result<Perceptual, TokenizerError> {
    let config = PerceptualConfig::Vgg16 { weights: "vgg16.safetensors".to_owned(), weight: 0.1, frames };
    Ok(Perceptual::new(&config, tensors, Device::Cpu)?.expect("the config asks for it"))
}

/// A window of 16 copies of a frame `[3, H, W]`.
fn still(frame_chw: &Tensor) -> Tensor {
    frame_chw.permute([1, 2, 0]).expand([1, WINDOW_FRAMES, 32, 32, 3], false)
}

#[test]
fn distance_and_gradient_are_those_of_the_package_lpips() {
    for (with_heads, distance, grad_norm, grad_at) in [
        (true, 0.7535719194327539, 0.5684420728134814, -0.0010893537365506611),
        (false, 1.0596074972911163, 1.349067327294761, -0.0016220322973094915),
    ] {
        let perceptual = perceptual(&file(with_heads), 2).unwrap();
        let drawn = wave(&[3, 32, 32], 1.0, 0.9).set_requires_grad(true);
        let got = perceptual.distance(&still(&drawn), &still(&wave(&[3, 32, 32], 2.5, 0.8)), 1).unwrap();
        got.f_backward().unwrap();
        let grad = drawn.grad();
        for (got, want) in [
            (got.double_value(&[]), distance),
            (grad.norm().double_value(&[]), grad_norm),
            (grad.double_value(&[1, 5, 7]), grad_at),
        ] {
            // f32 against f64; where hardly anything is active the gradient is steep.
            assert!((got - want).abs() < 2e-4 * f64::abs(want), "{got} is not {want}");
        }
    }
}

#[test]
fn each_step_looks_at_other_frames_and_sixteen_steps_at_all() {
    let perceptual = perceptual(&file(false), 4).unwrap();
    let real = Tensor::zeros([1, WINDOW_FRAMES, 16, 16, 3], (Kind::Float, Device::Cpu));
    let seen = |step: u64| -> Vec<i64> {
        let drawn = (wave(&[1, WINDOW_FRAMES, 16, 16, 3], 0.0, 0.5)).set_requires_grad(true);
        perceptual.distance(&drawn, &real, step).unwrap().f_backward().unwrap();
        let moved = drawn.grad().abs().sum_dim_intlist(&[0, 2, 3, 4][..], false, Kind::Float);
        (0..WINDOW_FRAMES).filter(|frame| moved.double_value(&[*frame]) > 0.0).collect()
    };
    assert_eq!(seen(1), [1, 5, 9, 13]);
    assert_eq!(seen(3), [3, 7, 11, 15]);
    assert_eq!(seen(4), [0, 4, 8, 12]);
}

#[test]
fn frames_that_are_equal_or_black_have_finite_gradients() {
    let perceptual = perceptual(&file(true), 1).unwrap();
    let drawn = Tensor::zeros([3, 32, 32], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let distance = perceptual.distance(&still(&drawn), &still(&drawn.detach()), 1).unwrap();
    distance.f_backward().unwrap();
    assert_eq!(distance.double_value(&[]), 0.0);
    assert_eq!(drawn.grad().abs().max().double_value(&[]), 0.0);
}

#[test]
fn a_file_that_lacks_a_tensor_or_has_another_shape_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let mut tensors = file(true);
        change(&mut tensors);
        perceptual(&tensors, 1).unwrap_err().to_string()
    };
    let said = refused(&|tensors| drop(tensors.remove("features.12.bias")));
    assert!(said.starts_with("the perceptual weights lack features.12.bias; docs/formats.md"), "{said}");
    let said = refused(&|tensors| drop(tensors.remove("lin3.model.1.weight")));
    assert!(said.contains("lack lin3.model.1.weight"), "{said}");
    let narrow = wave(&[6, 5, 3, 3], 0.0, 1.0);
    let said = refused(&|tensors| drop(tensors.insert("features.5.weight".to_owned(), narrow.copy())));
    let want = "features.5.weight of the perceptual weights has shape [6, 5, 3, 3], not [-1, 4, 3, 3]";
    assert!(said.starts_with(want), "{said}");
}
