use std::time::Instant;

use tch::{Device, Kind, Tensor};

/// Sides of the square matrices that are multiplied; which is fastest hangs on the caches. A GPU needs more to be busy.
fn sides(device: Device) -> [i64; 3] {
    match device {
        Device::Cpu => [1024, 1536, 2048],
        _ => [2048, 4096, 8192],
    }
}

/// The device's own f32 matrix products, as the measure of what a step reaches.
pub(super) struct Gemm {
    /// Both factors, by side.
    factors: Vec<[Tensor; 2]>,
    device: Device,
    /// Highest rate so far, operations per second.
    best: f64,
}

impl Gemm {
    pub(super) fn new(device: Device) -> anyhow::Result<Self> {
        let factor = |side: i64| Tensor::f_randn([side, side], (Kind::Float, device));
        let factors = sides(device)
            .map(|side| Ok([factor(side)?, factor(side)?]))
            .into_iter()
            .collect::<Result<_, tch::TchError>>()?;
        let mut gemm = Gemm { factors, device, best: 0.0 };
        // The first products also wake threads and fill caches.
        gemm.measure()?;
        gemm.best = 0.0;
        Ok(gemm)
    }

    /// Multiplies once for each side.
    pub(super) fn measure(&mut self) -> anyhow::Result<()> {
        for [a, b] in &self.factors {
            let began = Instant::now();
            let product = a.f_mm(b)?;
            // Reading one value waits for the device.
            if self.device != Device::Cpu {
                f64::try_from(product.f_get(0)?.f_get(0)?)?;
            }
            let flops = 2.0 * (a.size()[0] as f64).powi(3);
            self.best = self.best.max(flops / began.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// The highest rate so far, operations per second.
    pub(super) fn flops_per_sec(&self) -> f64 {
        self.best
    }
}
