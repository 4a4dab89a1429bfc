use arvideo::{CheckedArvideo, ClusterPlan};
use nn::{Cubes, Mode};
use spec::ClipGeometry;
use tch::{Device, Kind, Tensor};
use video::LoadedClip;

use super::PretrainTask;
use crate::clips::Draw;
use crate::method::{Model, PretrainBatch};
use crate::pictures::{self, Answers};
use crate::report::picture::Picture;

impl PretrainTask {
    /// The clusters of one clip and their order, and the picture's rows in words.
    ///
    /// * `has_learned` - whether what the model predicts is worth a row
    pub(super) fn draw_clusters(
        &self,
        (clip, draw): (&LoadedClip, Draw),
        (geometry, checked): (&ClipGeometry, &CheckedArvideo),
        has_learned: bool,
    ) -> anyhow::Result<(Picture, String)> {
        let place = (geometry.size_px(), self.device);
        let batch = PretrainBatch::new(std::slice::from_ref(clip), &[draw], &self.maker, place)?;
        let plan = batch.plans(checked, self.seed)?.remove(0);
        let answers = if has_learned { tch::no_grad(|| self.ask(&batch, checked, &plan))? } else { Answers::None };
        let mut rows = "frames, clusters in their order (dark first), tokens that the encoder reads".to_owned();
        match answers {
            Answers::None => {}
            Answers::Pixels(_) => rows.push_str(", what was predicted (means and contrasts are the clip's own)"),
            Answers::Errors(_) => rows.push_str(", how wrong each prediction was (dark: least)"),
        }
        let picture = pictures::cluster_picture(clip, (&plan, checked.clusters()), &answers, geometry)?;
        Ok((picture, rows))
    }

    /// What the model says of a batch of one clip.
    fn ask(&self, batch: &PretrainBatch, checked: &CheckedArvideo, plan: &ClusterPlan) -> anyhow::Result<Answers> {
        let Model::Arvideo(model, _) = &self.model else { anyhow::bail!("the model is of another method") };
        let cubes = Cubes::new(&batch.clip_bthwc, checked.grid(), checked.patch())?;
        let said = model.predictions(&cubes, std::slice::from_ref(plan), Mode::Eval)?;
        let target = checked.config().target;
        if let Some(norm) = target.pixel_norm() {
            let clip = cubes.redrawn(&said.tokens_bq, &said.values_bqc, norm)?.to_device(Device::Cpu);
            return Ok(Answers::Pixels(Vec::<u8>::try_from(clip.flatten(0, -1))?));
        }
        let error_bq = batch.targets.compare(target, &cubes, &said.tokens_bq, &said.values_bqc)?.error_bq;
        let error_bn = Tensor::zeros([1, checked.grid().num_tokens()], (Kind::Float, error_bq.device()));
        let error_bn = error_bn.scatter(1, &said.tokens_bq, &error_bq).to_device(Device::Cpu);
        Ok(Answers::Errors(Vec::<f32>::try_from(error_bn.flatten(0, -1))?))
    }
}
