use std::time::Instant;

use nn::cost::Computing;
use tch::Device;
use tch::nn::VarStore;
use train::{AdamW, Ema};

use super::settings::Setup;
use crate::method::{Model, PretrainBatch};
use crate::targets::TargetShape;

/// A model, its optimizer and a batch of noise: training steps as `train::fit` takes them, without data and log.
pub(super) struct Lesson {
    model: Model,
    batch: PretrainBatch,
    optimizer: AdamW,
    ema: Option<Ema>,
    clip_grad_norm: Option<f64>,
    device: Device,
    computing: Computing,
    num_taken: u64,
}

impl Lesson {
    pub(super) fn new(setup: &Setup, device: Device, computing: Computing) -> anyhow::Result<Self> {
        let Setup { geometry, method, train, batch, .. } = setup;
        let shape = TargetShape::usual(method.target());
        tch::manual_seed(0);
        let vs = VarStore::new(device);
        Ok(Lesson {
            model: method.build(&vs.root(), &shape)?,
            batch: PretrainBatch::noise(geometry, *batch, &shape, device),
            optimizer: AdamW::new(&vs, train.adamw())?,
            ema: Ema::new(train.model_of(&vs), train.ema())?,
            clip_grad_norm: train.clip_grad_norm(),
            device,
            computing,
            num_taken: 0,
        })
    }

    /// One step: no gradients, forward, backward, clipping, optimizer, average; the seconds that it took.
    pub(super) fn take(&mut self) -> anyhow::Result<f64> {
        self.num_taken += 1;
        let began = Instant::now();
        self.computing.attention.within(|| self.train())?;
        Ok(began.elapsed().as_secs_f64())
    }

    /// Leaves what is there between steps.
    pub(super) fn drop_gradients(&mut self) -> anyhow::Result<()> {
        Ok(self.optimizer.drop_gradients()?)
    }

    fn train(&mut self) -> anyhow::Result<()> {
        self.optimizer.drop_gradients()?;
        let loss = || self.model.loss(&self.batch, 0);
        let losses = torch_ext::autocast(self.device, self.computing.precision, loss)??;
        losses.total.f_backward()?;
        self.optimizer.clip_grad_norm(self.clip_grad_norm)?;
        self.optimizer.step(1e-6)?;
        self.ema.as_mut().map_or(Ok(()), |ema| ema.update(self.num_taken))?;
        // Reading the loss waits for the device.
        f64::try_from(&losses.total)?;
        Ok(())
    }
}
