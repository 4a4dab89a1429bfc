//! ARVideo's two ablations, on 64 x 8 x 8 tokens where the paper has 8 x 14 x 14.

use super::{Study, Variant, run};
use crate::cli::StudyArgs;
use crate::session::Session;

/// Next-cluster prediction at tiny size.
const ARVIDEO: &str = "arvideo-tiny-128f";

pub(crate) fn clusters(args: &StudyArgs, session: &Session) -> anyhow::Result<()> {
    let variant =
        |(name, [t, h, w]): (&str, [i64; 3])| Variant::of_model(name, &[&format!("model.cluster=[{t}, {h}, {w}]")]);
    let study = Study {
        name: "clusters",
        question: "which tokens should be predicted together?",
        paper: "2x7x7 (66.8) before 1x7x7 (66.2), frames of 1x14x14 (66.0), 2x1x1 (65.6), 4x7x7 (65.5), tubes of 8x1x1 (65.2) \
                and single tokens (64.0; ARVideo, top-1 on SSv2, of 8x14x14 tokens). Single tokens are all read here, since of \
                each cluster at least one is",
        preset: ARVIDEO,
        variants: [
            ("token 1x1x1", [1, 1, 1]),
            ("pair 2x1x1", [2, 1, 1]),
            ("tube 64x1x1", [64, 1, 1]),
            ("space 1x4x4", [1, 4, 4]),
            ("frame 1x8x8", [1, 8, 8]),
            ("box 2x4x4", [2, 4, 4]),
            ("box 4x4x4", [4, 4, 4]),
        ]
        .map(variant)
        .into(),
    };
    run(study, args, session)
}

pub(crate) fn orders(args: &StudyArgs, session: &Session) -> anyhow::Result<()> {
    let variant = |(name, setting): (&str, &str)| Variant::of_model(name, &[setting]);
    let study = Study {
        name: "orders",
        question: "in which order should clusters be predicted, and do priorities help?",
        paper: "random (66.8) before temporal first (66.0) and spatial first (65.6; ARVideo, top-1 on SSv2). Priorities are \
                ours: the control of an order or of weights by priority is random, that of the top half a random half",
        preset: ARVIDEO,
        variants: [
            ("random", r#"model.order="random""#),
            ("spatial first", r#"model.order="spatial_first""#),
            ("temporal first", r#"model.order="temporal_first""#),
            ("priority", r#"model.order="priority""#),
            ("weighted", r#"model.predicted={ kind = "weighted" }"#),
            ("top half", r#"model.predicted={ kind = "top", share = 0.5 }"#),
            ("random half", r#"model.predicted={ kind = "random", share = 0.5 }"#),
        ]
        .map(variant)
        .into(),
    };
    run(study, args, session)
}
