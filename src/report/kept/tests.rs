use super::*;
use crate::report::page::Page;

fn row(selection: SelectionName, kept: f64, psnr_db: f64) -> KeptRow {
    KeptRow {
        selection,
        kept,
        kept_of_all: kept * 0.875 + 0.125,
        psnr_db,
        psnr_low_db: psnr_db - 1.0,
        psnr_high_db: psnr_db + 1.0,
        psnr_pooled_db: psnr_db - 0.5,
        psnr_of_draws_db: (selection == SelectionName::Random).then_some([psnr_db - 0.25, psnr_db + 0.5]),
        ssim: 0.9,
        diff_psnr_db: 30.0,
        rfvd: (kept == 1.0).then_some(12.34),
    }
}

fn results() -> KeptResults {
    let at =
        |kept: f64| SelectionName::SOME.into_iter().zip([28.0, 26.0, 24.0, 22.0]).map(move |(s, p)| row(s, kept, p));
    let gain = |over, psnr_db| Gain { over, kept: 0.1, psnr_db, low_db: psnr_db - 0.5, high_db: psnr_db + 0.5 };
    let auc = |mean: f64| Auc { mean, low: mean - 0.01, high: mean + 0.01, lowest: 0.5, pooled: mean };
    KeptResults {
        tokenizer: "t.safetensors".to_owned(),
        tokenizer_id: "00".to_owned(),
        clips: "c.h5".to_owned(),
        clip_store_id: "11".to_owned(),
        num_clips: 7,
        num_frames: 32,
        size_px: 64,
        failed: vec![FailedClip { segment: "P01 <1>".to_owned(), reason: "damaged".to_owned() }],
        num_draws: 3,
        i3d: None,
        rows: [row(SelectionName::All, 1.0, 32.0)].into_iter().chain(at(0.1)).chain(at(0.5)).collect(),
        gains: vec![gain(SelectionName::Motion, 2.0), gain(SelectionName::Random, 6.0)],
        codes: CodeUse { codebook_size: 100, num_tokens: 5000, used: 93, dead: 7, perplexity: 61.2 },
        mask: Some(MaskAuc {
            masks: "masks".to_owned(),
            covered_from: 0.1,
            clear_up_to: 0.0,
            num_clips: 6,
            num_left_out: 1,
            num_covered: 400,
            num_clear: 3000,
            priorities: auc(0.95),
            pixel_motion: auc(0.8),
        }),
    }
}

#[test]
fn the_section_tells_every_number_and_what_was_left_out() {
    let html = Page { sections: vec![results().section(Some("mine"))], ..Page::default() }.html();
    for said in [
        "<h2>Tokens kept: mine</h2>",
        "7 clips of 32 frames at 64 pixels, 1 failed; 93 of 100 codes are used by 5000 tokens, 7 are dead; perplexity 61.",
        "AUC of 0.950 (0.940 to 0.960; pooled 0.950), plain pixel motion with 0.800",
        "Random is the mean of 3 draws, whose own means lie at most 0.750 dB apart.",
        "P01 &lt;1&gt; was left out: damaged",
        "<td class=\"number\">10.0 %</td><td class=\"number\">21.3 %</td><td>adaptive</td><td class=\"number\">28.00</td>",
        "<td>all</td><td class=\"number\">32.00</td><td class=\"number\">31.00 to 33.00</td>",
        "<td class=\"number\">12.3</td>",
    ] {
        assert!(html.contains(said), "{said}\n{html}");
    }
}

#[test]
fn each_line_ends_where_all_tokens_are_kept() {
    let svg = results().curve().inline();
    for name in ["adaptive", "motion", "uniform", "random"] {
        assert!(svg.contains(&format!("<title>{name}: 32 at 100 %</title>")), "{name}\n{svg}");
    }
    assert!(svg.contains("<title>random: 22 at 10.0 %</title>"), "{svg}");
    let gains = results().gain_chart().inline();
    assert!(gains.contains("<title>over random: 6 at 10.0 %</title>"), "{gains}");
}

#[test]
fn results_survive_their_file() {
    let json = serde_json::to_string(&results()).unwrap();
    assert_eq!(serde_json::from_str::<KeptResults>(&json).unwrap(), results());
    assert!(json.contains("\"selection\":\"adaptive\"") && json.contains("\"over\":\"motion\""), "{json}");
}
