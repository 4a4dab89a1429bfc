//! How many frames the clips of a step have: always the same, or more (or fewer) as training goes on.

use serde::{Deserialize, Serialize};
use spec::Patch;

use crate::exit::BadInput;

/// The `[curriculum]` section of a preset.
///
/// Clips of a stage are neighbouring frames of the timeline that `[clip]` describes, at the same pace: a stage of 32 frames sees
/// a quarter of what a clip of 128 shows. So stored tokens serve every stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum CurriculumConfig {
    /// `clip.num_frames` in every step.
    None {},
    /// As many as the stage has that a step belongs to.
    Frames {
        /// In the order of their steps; the first begins with step 1, the last has `clip.num_frames`.
        stages: Vec<StageConfig>,
    },
}

/// One stage: a line of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StageConfig {
    /// Its first step, counted from 1.
    pub(crate) from_step: u64,
    /// Frames per clip, a multiple of the patch's and at most `clip.num_frames`.
    pub(crate) num_frames: i64,
}

/// A checked [`CurriculumConfig`]: stages in order, the first from step 1 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrameCounts {
    stages: Vec<StageConfig>,
}

impl CurriculumConfig {
    /// * `num_frames` - `clip.num_frames`
    /// * `steps` - of the run
    ///
    /// # Errors
    /// [`BadInput`] names the stage and the rule that it breaks.
    pub(crate) fn check(&self, (num_frames, patch): (i64, Patch), steps: u64) -> Result<FrameCounts, BadInput> {
        let CurriculumConfig::Frames { stages } = self else { return Ok(FrameCounts::constant(num_frames)) };
        let refuse = |stage: usize, rule: String| Err(BadInput(format!("curriculum.stages[{stage}]: {rule}")));
        let Some(last) = stages.last() else {
            let said = "curriculum.stages is empty: write its stages, or set curriculum to { kind = \"none\" }";
            return Err(BadInput(said.to_owned()));
        };
        for (i, StageConfig { from_step, num_frames: frames }) in stages.iter().copied().enumerate() {
            if i == 0 && from_step != 1 {
                return refuse(i, format!("from_step = {from_step}, but the first stage begins with step 1"));
            }
            if i > 0 && from_step <= stages[i - 1].from_step {
                let before = stages[i - 1].from_step;
                return refuse(i, format!("from_step = {from_step} does not come after {before} of the stage before"));
            }
            if from_step > steps {
                return refuse(i, format!("from_step = {from_step}, but the run has train.steps = {steps}"));
            }
            if frames < patch.t || frames % patch.t != 0 {
                return refuse(
                    i,
                    format!("num_frames = {frames} is not a positive multiple of the patch's {}", patch.t),
                );
            }
            if frames > num_frames {
                return refuse(i, format!("num_frames = {frames} is above clip.num_frames = {num_frames}"));
            }
        }
        if last.num_frames != num_frames {
            let rule =
                format!("num_frames = {}, but the last stage has clip.num_frames = {num_frames}", last.num_frames);
            return refuse(stages.len() - 1, rule);
        }
        Ok(FrameCounts { stages: stages.clone() })
    }
}

impl FrameCounts {
    /// The same number in every step.
    pub(crate) fn constant(num_frames: i64) -> Self {
        FrameCounts { stages: vec![StageConfig { from_step: 1, num_frames }] }
    }

    /// The stages in order, the first from step 1 on.
    pub(crate) fn stages(&self) -> &[StageConfig] {
        &self.stages
    }

    /// Which stage a step belongs to.
    ///
    /// * `step` - counted from 1
    pub(crate) fn stage_of(&self, step: u64) -> usize {
        self.stages.partition_point(|stage| stage.from_step <= step).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: Patch = Patch { t: 2, h: 8, w: 8 };

    fn check(stages: &[(u64, i64)]) -> Result<FrameCounts, String> {
        let stage =
            |(from_step, num_frames): &(u64, i64)| StageConfig { from_step: *from_step, num_frames: *num_frames };
        let config = CurriculumConfig::Frames { stages: stages.iter().map(stage).collect() };
        config.check((128, PATCH), 100).map_err(|err| err.to_string())
    }

    #[test]
    fn a_step_belongs_to_the_last_stage_that_has_begun() {
        let counts = check(&[(1, 16), (11, 64), (51, 128)]).unwrap();
        let of = |step| counts.stages()[counts.stage_of(step)].num_frames;
        assert_eq!([1, 10, 11, 50, 51, 100].map(of), [16, 16, 64, 64, 128, 128]);
        let constant = CurriculumConfig::None {}.check((128, PATCH), 100).unwrap();
        assert_eq!([1, 100].map(|step| constant.stage_of(step)), [0, 0]);
        assert_eq!(constant.stages()[0].num_frames, 128);
    }

    #[test]
    fn stages_that_make_no_sense_are_refused_with_their_number() {
        let said = |stages: &[(u64, i64)]| check(stages).unwrap_err();
        assert!(said(&[]).contains("is empty"));
        assert!(said(&[(2, 128)]).starts_with("curriculum.stages[0]: from_step = 2"));
        assert!(said(&[(1, 16), (1, 128)]).starts_with("curriculum.stages[1]: from_step = 1 does not come after 1"));
        assert!(said(&[(1, 16), (101, 128)]).contains("train.steps = 100"));
        assert!(said(&[(1, 15), (5, 128)]).contains("not a positive multiple of the patch's 2"));
        assert!(said(&[(1, 0), (5, 128)]).contains("not a positive multiple of the patch's 2"));
        assert!(said(&[(1, 256), (5, 128)]).contains("above clip.num_frames = 128"));
        assert!(said(&[(1, 16), (5, 64)]).starts_with("curriculum.stages[1]: num_frames = 64, but the last stage"));
    }

    #[test]
    fn a_curriculum_is_read_from_a_preset_and_a_misspelled_key_is_refused() {
        let read = |text: &str| toml::from_str::<CurriculumConfig>(text).map_err(|err| err.to_string());
        let text =
            "kind = \"frames\"\nstages = [{ from_step = 1, num_frames = 16 }, { from_step = 9, num_frames = 32 }]";
        let CurriculumConfig::Frames { stages } = read(text).unwrap() else { panic!("stages") };
        assert_eq!(stages[1], StageConfig { from_step: 9, num_frames: 32 });
        assert_eq!(read("kind = \"none\"").unwrap(), CurriculumConfig::None {});
        assert!(read("kind = \"none\"\nstages = []").is_err());
        assert!(read("kind = \"frames\"\nstages = [{ from = 1, num_frames = 16 }]").unwrap_err().contains("from"));
    }
}
