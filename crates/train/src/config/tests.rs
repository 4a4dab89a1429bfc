use super::*;

#[track_caller]
fn check_refused(key: &str, change: impl FnOnce(&mut TrainConfig)) {
    let mut config = example();
    change(&mut config);
    let said = config.check().unwrap_err().to_string();
    assert!(said.starts_with(&format!("{key} = ")), "{said}");
}

#[test]
fn a_value_out_of_range_is_refused_by_its_key() {
    check_refused("train.steps", |c| c.steps = 0);
    check_refused("train.batch", |c| c.batch = 0);
    check_refused("train.batch", |c| c.accumulate = 3);
    check_refused("train.layer_decay", |c| c.layer_decay = 0.0);
    check_refused("train.ema.decay", |c| c.ema = EmaConfig::Decay { decay: 1.0 });
    check_refused("train.keep_checkpoints", |c| c.keep_checkpoints = 0);
    check_refused("train.pictures_every", |c| c.pictures_every = 0);
    check_refused("train.log_every", |c| c.log_every = 0);
    check_refused("train.checkpoint_every", |c| c.checkpoint_every = 0);
    check_refused("train.warmup_steps", |c| c.warmup_steps = 11);
    check_refused("train.learning_rate", |c| c.learning_rate = f64::NAN);
    check_refused("train.min_learning_rate", |c| c.min_learning_rate = 0.02);
    check_refused("train.betas", |c| c.betas = [0.9, 1.0]);
    check_refused("train.weight_decay", |c| c.weight_decay = f64::INFINITY);
    check_refused("train.clip_grad_norm", |c| c.clip_grad_norm = -1.0);
}

#[test]
fn a_missing_key_and_an_unknown_key_are_refused() {
    let text = toml::to_string(&example()).unwrap();
    assert_eq!(toml::from_str::<TrainConfig>(&text).unwrap(), example());
    let without = text.replace("seed = 7\n", "");
    assert!(toml::from_str::<TrainConfig>(&without).unwrap_err().to_string().contains("missing field `seed`"));
    // Before the first table, and in the last one.
    for with in [format!("momentum = 0.9\n{text}"), format!("{text}momentum = 0.9\n")] {
        assert!(toml::from_str::<TrainConfig>(&with).unwrap_err().to_string().contains("unknown field `momentum`"));
    }
}

#[test]
fn first_last_and_every_fourth_step_are_logged() {
    let plan = example().check().unwrap();
    assert_eq!((1..=10).filter(|s| plan.logs_at(*s)).collect::<Vec<_>>(), [1, 4, 8, 10]);
    assert_eq!((1..=10).filter(|s| plan.checkpoints_at(*s)).collect::<Vec<_>>(), [5, 10]);
}

#[test]
fn a_batch_that_does_not_divide_among_the_ranks_is_refused() {
    let plan = TrainConfig { batch: 12, accumulate: 3, ..example() }.check().unwrap();
    let split = plan.split(2).unwrap();
    assert_eq!(split, BatchSplit { num_ranks: 2, accumulate: 3, num_clips: 2 });
    let said = plan.split(8).unwrap_err().to_string();
    assert!(said.contains("12 for 8 ranks with train.accumulate = 3"), "{said}");
}

#[test]
fn a_clip_norm_of_zero_means_none() {
    let config = TrainConfig { clip_grad_norm: 0.0, ..example() };
    assert_eq!(config.check().unwrap().clip_grad_norm(), None);
    assert_eq!(example().check().unwrap().clip_grad_norm(), Some(1.0));
}
