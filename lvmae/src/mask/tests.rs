//! What holds for every mask.

use nn::{Position, Recompute, StackConfig, Target, VitConfig};
use proptest::prelude::*;
use spec::{Purpose, Rng, rng_for, share_of};

use super::*;
use crate::{CheckedLvmae, LvmaeConfig};

const TUBE: EncoderMask = EncoderMask::Tube { hidden_share: 0.9 };
const ADAPTIVE: DecoderMask = DecoderMask::Adaptive(salient(0.10, 0.05));

const fn salient(salient_share: f64, random_share: f64) -> Salient {
    Salient { salient_share, random_share, choice: Choice::Top, pool: Pool::Hidden }
}

/// A model of the smallest size with these masks, on cubes of 2 x 4 x 4 pixels.
fn checked(masks: (EncoderMask, DecoderMask), grid: Grid) -> Result<CheckedLvmae, LvmaeError> {
    let (position, recompute) = (Position::Separable, Recompute::None);
    let config = LvmaeConfig {
        encoder: VitConfig {
            width: 12,
            depth: 1,
            heads: 2,
            position,
            recompute,
            drop_path: 0.0,
            final_norm: nn::FinalNorm::Tokens,
        },
        decoder: StackConfig { width: 12, depth: 1, heads: 2 },
        encoder_mask: masks.0,
        decoder_mask: masks.1,
        target: Target::Pixels,
    };
    config.check(grid, Patch { t: 2, h: 4, w: 4 })
}

/// Cues of a clip at random, the flow on cells of one pixel.
struct RandomCues {
    per_token: Vec<f32>,
    xy: Vec<f32>,
}

impl RandomCues {
    fn new(grid: Grid, rng: &mut Rng) -> Self {
        let mut numbers = |num: i64| (0..num).map(|_| (rng.random_range(0.0..8.0_f32)).floor()).collect();
        RandomCues { per_token: numbers(grid.num_tokens()), xy: numbers(grid.num_tokens() * 2 * 16 * 2) }
    }

    fn cues(&self) -> Cues<'_> {
        let flow = Some(FlowCue { cell_px: 1, xy: &self.xy });
        Cues { priorities_n: Some(&self.per_token), flow, motion_n: Some(&self.per_token) }
    }
}

#[test]
fn the_papers_grid_gives_the_papers_counts() {
    // 128 frames at 224 pixels.
    let paper = Grid { t: 64, h: 14, w: 14 };
    let model = checked((TUBE, ADAPTIVE), paper).unwrap();
    // VideoMAE: int(0.9 * 196) = 176 hidden places, 20 visible, in each of 64 latent frames; floor(1254.4) by priority and
    // floor(627.2) at random: 15 % of 12,544.
    assert_eq!((model.num_visible(), model.num_asked()), (64 * 20, 1254 + 627));
    let everest = EncoderMask::Motion { kept_share: 0.3, visible_share: 0.1 };
    let model = checked((everest, DecoderMask::Motion(salient(0.2, 0.0))), paper).unwrap();
    assert_eq!((model.num_visible(), model.num_asked()), (1254, 2508));
    // MGMAE: int(196 * (1 - 0.9)) = 19 visible of each frame, beside running cells of half the tokens.
    let mgmae = EncoderMask::MotionGuided { hidden_share: 0.9 };
    let model = checked((mgmae, DecoderMask::RunningCell { share: 0.5 }), paper).unwrap();
    assert_eq!((model.num_visible(), model.num_asked()), (64 * 19, 6272));
}

#[test]
fn a_mask_without_what_it_looks_at_says_where_to_get_it() {
    let grid = Grid { t: 2, h: 4, w: 4 };
    let said = |masks, cues: &Cues| checked(masks, grid).unwrap().mask(cues, (0, 0, 0)).unwrap_err().to_string();
    let half = EncoderMask::Tube { hidden_share: 0.5 };
    assert_eq!(
        said((half, ADAPTIVE), &Cues::default()),
        "decoder_mask adaptive needs one priority per token (32), got 0; give the token store with --tokens"
    );
    let short = Cues { motion_n: Some(&[1.0; 31]), ..Cues::default() };
    let moving = EncoderMask::Motion { kept_share: 0.5, visible_share: 0.2 };
    assert_eq!(
        said((moving, DecoderMask::None {}), &short),
        "encoder_mask motion needs one motion per token (32), got 31; take it from Lvmae::motion"
    );
    let flow = DecoderMask::Flow(salient(0.1, 0.1));
    // 4 frames of 16 x 16 cells.
    let text = said((half, flow), &Cues { flow: Some(FlowCue { cell_px: 1, xy: &[] }), ..Cues::default() });
    assert!(text.contains("the optical flow of every cell, two numbers each (2048), got 0"), "{text}");
    let text = said((half, flow), &Cues { flow: Some(FlowCue { cell_px: 3, xy: &[] }), ..Cues::default() });
    assert!(text.contains("cells of 3 pixels, which do not divide a patch of [4, 4]"), "{text}");
}

#[test]
fn shares_that_cannot_be_met_are_refused() {
    let grid = Grid { t: 2, h: 4, w: 4 };
    let decoder = |mask| checked((EncoderMask::Tube { hidden_share: 0.9 }, mask), grid).map_err(|err| err.to_string());
    assert!(decoder(DecoderMask::Random { share: 0.95 }).unwrap_err().contains("hides fewer tokens"));
    assert!(decoder(DecoderMask::Uniform { share: 0.95 }).unwrap_err().contains("hides fewer tokens"));
    assert!(decoder(DecoderMask::Random { share: 0.0 }).unwrap_err().contains("nothing is left to predict"));
    assert!(decoder(DecoderMask::Random { share: -0.1 }).unwrap_err().contains("between 0 and 1"));
    assert!(decoder(DecoderMask::Adaptive(salient(0.3, f64::NAN))).unwrap_err().contains("between 0 and 1"));
    let any = Salient { pool: Pool::All, ..salient(0.0, 0.1) };
    assert!(decoder(DecoderMask::Adaptive(any)).unwrap_err().contains("none to predict"));
    assert!(decoder(DecoderMask::Random { share: 0.5 }).is_ok());
    let small = Grid { t: 2, h: 2, w: 2 };
    for hidden_share in [0.0, 1.0, f64::NAN] {
        let each = [EncoderMask::Random { hidden_share }, EncoderMask::MotionGuided { hidden_share }];
        for mask in each.into_iter().chain([0.01, hidden_share].map(|hidden_share| EncoderMask::Tube { hidden_share }))
        {
            assert!(checked((mask, DecoderMask::None {}), small).is_err(), "{mask:?}");
        }
    }
    for (kept_share, visible_share) in [(0.3, 0.4), (1.1, 0.5), (0.5, 0.0), (f64::NAN, 0.1)] {
        let mask = EncoderMask::Motion { kept_share, visible_share };
        assert!(checked((mask, DecoderMask::None {}), small).is_err(), "{mask:?}");
    }
}

#[test]
fn everests_tokens_are_those_that_move_most() {
    let grid = Grid { t: 3, h: 4, w: 5 };
    let masks = (EncoderMask::Motion { kept_share: 0.3, visible_share: 0.1 }, DecoderMask::Motion(salient(0.2, 0.0)));
    let model = checked(masks, grid).unwrap();
    // Token i moves by (7 i) mod 60, so the 18 that move most are those with 42 and above.
    let motion: Vec<f32> = (0..60).map(|i| (i * 7 % 60) as f32).collect();
    let mut visible_somewhere = std::collections::BTreeSet::new();
    for item in 0..200 {
        let cues = Cues { motion_n: Some(&motion), ..Cues::default() };
        let ClipMask { visible, decoded, unscored } = model.mask(&cues, (0, 0, item)).unwrap();
        assert_eq!((visible.len(), decoded.len(), unscored.len()), (6, 12, 0));
        assert!(visible.iter().chain(&decoded).all(|i| motion[*i as usize] >= 42.0));
        visible_somewhere.extend(visible);
    }
    assert_eq!(visible_somewhere.len(), 18, "each of them is visible in some clip");
}

fn encoder_masks() -> impl Strategy<Value = EncoderMask> {
    (0.05f64..0.95, 0.05f64..1.0, 0usize..4).prop_map(|(hidden_share, part, kind)| match kind {
        0 => EncoderMask::Tube { hidden_share },
        1 => EncoderMask::Random { hidden_share },
        2 => EncoderMask::MotionGuided { hidden_share },
        _ => EncoderMask::Motion { kept_share: hidden_share, visible_share: part * hidden_share },
    })
}

fn decoder_masks() -> impl Strategy<Value = DecoderMask> {
    let salient =
        (0.0f64..0.4, 0.0f64..0.3, any::<bool>(), any::<bool>()).prop_map(|(by_value, random, top, hidden)| {
            let choice = if top { Choice::Top } else { Choice::Sampled };
            let pool = if hidden { Pool::Hidden } else { Pool::All };
            Salient { choice, pool, ..salient(by_value, random) }
        });
    (0.01f64..0.9, 1i32..4, salient, 0usize..7).prop_map(|(share, quarters, salient, kind)| match kind {
        0 => DecoderMask::None {},
        1 => DecoderMask::Random { share },
        2 => DecoderMask::Uniform { share },
        3 => DecoderMask::RunningCell { share: f64::from(quarters) / 4.0 },
        4 => DecoderMask::Flow(salient),
        5 => DecoderMask::Motion(salient),
        _ => DecoderMask::Adaptive(salient),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn budgets_are_exact_and_a_mask_follows_from_its_clip_alone(
        t in 1i64..6, h in 1i64..4, w in 1i64..4, encoder in encoder_masks(), decoder in decoder_masks(), seed: u64,
    ) {
        let grid = Grid { t, h: 2 * h, w: 2 * w };
        if let Ok(model) = checked((encoder, decoder), grid) {
            let mut rng = rng_for(seed, 0, 0, Purpose::Eval);
            let [one, other] = [0, 1].map(|_| RandomCues::new(grid, &mut rng));
            let mask = model.mask(&one.cues(), (seed, 1, 2)).unwrap();
            prop_assert_eq!(&mask, &model.mask(&one.cues(), (seed, 1, 2)).unwrap());
            for mask in [&mask, &model.mask(&other.cues(), (seed, 1, 3)).unwrap()] {
                let ClipMask { visible, decoded, unscored } = mask;
                prop_assert_eq!(visible.len() as i64, model.num_visible());
                prop_assert_eq!(mask.asked().count() as i64, model.num_asked());
                for list in [visible, decoded, unscored] {
                    prop_assert!(list.windows(2).all(|pair| pair[0] < pair[1]), "ascending, none twice");
                    prop_assert!(list.iter().all(|token| (0..grid.num_tokens()).contains(token)));
                }
                prop_assert!(!decoded.is_empty() && decoded.iter().all(|token| !visible.contains(token)));
                prop_assert!(unscored.iter().all(|token| visible.contains(token)));
            }
        }
    }

    #[test]
    fn masks_by_frame_see_as_many_places_of_each(
        t in 1i64..6, h in 2i64..5, w in 2i64..5, hidden_share in 0.1f64..0.9, seed: u64,
    ) {
        let grid = Grid { t, h, w };
        for mask in [EncoderMask::Tube { hidden_share }, EncoderMask::MotionGuided { hidden_share }] {
            if let Ok(model) = checked((mask, DecoderMask::None {}), grid) {
                let cues = RandomCues::new(grid, &mut rng_for(seed, 0, 0, Purpose::Eval));
                let visible = model.mask(&cues.cues(), (seed, 0, 0)).unwrap().visible;
                let of_frame = |t: i64| visible.iter().filter(|token| **token / (h * w) == t).count() as i64;
                prop_assert!((0..t).all(|frame| of_frame(frame) * t == model.num_visible()), "{:?}", visible);
            }
        }
    }

    #[test]
    fn what_ranks_above_the_last_chosen_is_chosen(
        t in 1i64..6, side in 3i64..7, share in 0.0f64..0.3, random in 0.01f64..0.3, seed: u64,
    ) {
        let grid = Grid { t, h: side, w: side };
        if let Ok(model) = checked((TUBE, DecoderMask::Adaptive(salient(share, random))), grid) {
            let priorities: Vec<f32> = (0..grid.num_tokens()).map(|i| ((i * 37 + seed as i64 % 97) % 11) as f32).collect();
            let cues = Cues { priorities_n: Some(&priorities), ..Cues::default() };
            let mask = model.mask(&cues, (seed, 0, 0)).unwrap();
            let hidden = others(grid.num_tokens(), &mask.visible);
            let mut sorted: Vec<f32> = hidden.iter().map(|i| priorities[*i as usize]).collect();
            sorted.sort_by(|a, b| b.total_cmp(a));
            if let Some(last) = (share_of(share, grid.num_tokens()) as usize).checked_sub(1).map(|i| sorted[i]) {
                let above = |i: &&i64| priorities[**i as usize] > last;
                prop_assert!(hidden.iter().filter(above).all(|i| mask.decoded.contains(i)));
            }
        }
    }
}
