//! Reconstruction against the share of tokens kept; shared with `tokenizer eval`.

use serde::{Deserialize, Serialize};

use super::page::{Align, Block, Section, Table};
use super::svg::{Axis, Drawing, LineChart, Marks, Scale, Series};
use super::units::Unit;

/// `tokenizer_eval.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptResults {
    /// The tokenizer's file, and the hash of its weights.
    pub(crate) tokenizer: String,
    pub(crate) tokenizer_id: String,
    /// The clip store, and its id.
    pub(crate) clips: String,
    pub(crate) clip_store_id: String,
    /// Clips measured, their frames and the side of a frame.
    pub(crate) num_clips: usize,
    pub(crate) num_frames: usize,
    pub(crate) size_px: i64,
    /// Clips that could not be read: in no number below.
    pub(crate) failed: Vec<FailedClip>,
    /// Draws of the random selection.
    pub(crate) num_draws: u64,
    /// The network of `rfvd`.
    pub(crate) i3d: Option<String>,
    /// All tokens first, then by share kept.
    pub(crate) rows: Vec<KeptRow>,
    /// What the learned selection gains over others.
    pub(crate) gains: Vec<Gain>,
    pub(crate) codes: CodeUse,
    /// How well priorities find what a mask shows.
    pub(crate) mask: Option<MaskAuc>,
}

/// A clip that could not be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FailedClip {
    pub(crate) segment: String,
    pub(crate) reason: String,
}

/// Which tokens pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SelectionName {
    All,
    Adaptive,
    Random,
    Uniform,
    Motion,
}

/// Reconstruction by one selection at one budget. Numbers are means over clips (and, of the random selection, over
/// draws).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptRow {
    pub(crate) selection: SelectionName,
    /// Share kept of the tokens after each window's first latent frame, and of all tokens.
    pub(crate) kept: f64,
    pub(crate) kept_of_all: f64,
    /// With the 95 % bootstrap interval over clips.
    pub(crate) psnr_db: f64,
    pub(crate) psnr_low_db: f64,
    pub(crate) psnr_high_db: f64,
    /// PSNR of the mean squared error over all clips.
    pub(crate) psnr_pooled_db: f64,
    /// Lowest and highest mean of a draw; of the random selection only.
    pub(crate) psnr_of_draws_db: Option<[f64; 2]>,
    pub(crate) ssim: f64,
    /// Of the differences between adjacent frames, peak 255.
    pub(crate) diff_psnr_db: f64,
    /// Frechet video distance between clips and reconstructions; the lower the better.
    pub(crate) rfvd: Option<f64>,
}

/// How much better the learned selection is than another at the same budget, clip by clip.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gain {
    pub(crate) over: SelectionName,
    pub(crate) kept: f64,
    /// Mean of the difference in PSNR, with its 95 % bootstrap interval over clips.
    pub(crate) psnr_db: f64,
    pub(crate) low_db: f64,
    pub(crate) high_db: f64,
}

/// How the codebook is used by all tokens of the clips.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CodeUse {
    pub(crate) codebook_size: i64,
    pub(crate) num_tokens: u64,
    /// Codes that occur, and those that do not.
    pub(crate) used: i64,
    pub(crate) dead: i64,
    pub(crate) perplexity: f64,
}

/// How well priorities tell the tokens that a mask covers from those that it leaves clear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MaskAuc {
    pub(crate) masks: String,
    /// Share of its cube from which on a token is covered, and up to which it is clear.
    pub(crate) covered_from: f64,
    pub(crate) clear_up_to: f64,
    /// Clips with tokens of both kinds; the others are left out.
    pub(crate) num_clips: usize,
    pub(crate) num_left_out: usize,
    pub(crate) num_covered: u64,
    pub(crate) num_clear: u64,
    pub(crate) priorities: Auc,
    /// The control: mean change of the pixels of a cube, nothing learned.
    pub(crate) pixel_motion: Auc,
}

/// Areas under the ROC curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Auc {
    /// Mean over clips with its 95 % bootstrap interval.
    pub(crate) mean: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) lowest: f64,
    /// Of the tokens of all clips together.
    pub(crate) pooled: f64,
}

impl SelectionName {
    /// Those that leave tokens out, in the order of the charts.
    pub(crate) const SOME: [SelectionName; 4] =
        [SelectionName::Adaptive, SelectionName::Motion, SelectionName::Uniform, SelectionName::Random];

    pub(crate) fn text(self) -> &'static str {
        match self {
            SelectionName::All => "all",
            SelectionName::Adaptive => "adaptive",
            SelectionName::Random => "random",
            SelectionName::Uniform => "uniform",
            SelectionName::Motion => "motion",
        }
    }
}

impl KeptResults {
    /// PSNR against the share kept, one line for each selection; all lines end where every token is kept.
    pub(crate) fn curve(&self) -> Drawing {
        let all = self.rows.iter().find(|row| row.selection == SelectionName::All);
        let line = |(colour, name): (usize, SelectionName)| {
            let rows: Vec<&KeptRow> = self.rows.iter().filter(|row| row.selection == name).collect();
            let points = rows.iter().copied().chain(all).map(|row| (row.kept, row.psnr_db)).collect();
            let band = rows.iter().chain(&all).map(|row| (row.kept, row.psnr_low_db, row.psnr_high_db));
            // Bands of all four would cover each other.
            let band = if name == SelectionName::Adaptive { band.collect() } else { Vec::new() };
            Series { name: name.text().to_owned(), points, band, marks: Marks::Points, colour, ..Series::default() }
        };
        let series = SelectionName::SOME.into_iter().enumerate().map(line).collect();
        LineChart {
            title: "Reconstruction from few tokens".to_owned(),
            x: Axis::new("tokens kept after each window's first latent frame", Scale::Linear, Unit::Share),
            y: Axis::new("PSNR, dB (band: 95 % over clips)", Scale::Linear, Unit::Plain),
            series,
            limit: None,
        }
        .draw()
    }

    /// What the learned selection gains over each of the others, with the interval over clips.
    pub(crate) fn gain_chart(&self) -> Drawing {
        let line = |(colour, over): (usize, SelectionName)| {
            let gains = || self.gains.iter().filter(move |gain| gain.over == over);
            Series {
                name: format!("over {}", over.text()),
                points: gains().map(|gain| (gain.kept, gain.psnr_db)).collect(),
                band: gains().map(|gain| (gain.kept, gain.low_db, gain.high_db)).collect(),
                marks: Marks::Points,
                colour,
                ..Series::default()
            }
        };
        LineChart {
            title: "Gain of the learned selection".to_owned(),
            x: Axis::new("tokens kept after each window's first latent frame", Scale::Linear, Unit::Share),
            y: Axis::new("PSNR, dB, paired by clip (band: 95 %)", Scale::FromZero, Unit::Plain),
            // Each keeps the colour that it has in the other chart.
            series: SelectionName::SOME.into_iter().enumerate().skip(1).map(line).collect(),
            limit: None,
        }
        .draw()
    }

    /// One row for each selection and budget.
    fn table(&self) -> Table {
        let mut table = Table::new(&[
            ("kept", Align::Right),
            ("of all tokens", Align::Right),
            ("selection", Align::Left),
            ("PSNR, dB", Align::Right),
            ("95 %", Align::Right),
            ("pooled", Align::Right),
            ("SSIM", Align::Right),
            ("PSNR of differences", Align::Right),
            ("rFVD", Align::Right),
        ]);
        for row in &self.rows {
            table.push(vec![
                Unit::Share.text(row.kept),
                Unit::Share.text(row.kept_of_all),
                row.selection.text().to_owned(),
                format!("{:.2}", row.psnr_db),
                format!("{:.2} to {:.2}", row.psnr_low_db, row.psnr_high_db),
                format!("{:.2}", row.psnr_pooled_db),
                format!("{:.4}", row.ssim),
                format!("{:.2}", row.diff_psnr_db),
                row.rfvd.map_or_else(|| "–".to_owned(), |rfvd| format!("{rfvd:.1}")),
            ]);
        }
        table
    }

    /// What stands beside the numbers, one sentence each.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let CodeUse { codebook_size, num_tokens, used, dead, perplexity } = self.codes;
        let mut said = vec![format!(
            "{} clips of {} frames at {} pixels, {} failed; {used} of {codebook_size} codes are used by {num_tokens} tokens, \
             {dead} are dead; perplexity {perplexity:.0}.",
            self.num_clips,
            self.num_frames,
            self.size_px,
            self.failed.len()
        )];
        let spreads = self.rows.iter().filter_map(|row| row.psnr_of_draws_db).map(|[low, high]| high - low);
        if let (2.., Some(most)) = (self.num_draws, spreads.reduce(f64::max)) {
            said.push(format!(
                "Random is the mean of {} draws, whose own means lie at most {most:.3} dB apart.",
                self.num_draws
            ));
        }
        if let Some(mask) = &self.mask {
            let auc =
                |auc: &Auc| format!("{:.3} ({:.3} to {:.3}; pooled {:.3})", auc.mean, auc.low, auc.high, auc.pooled);
            said.push(format!(
                "Priorities tell what the mask covers with an AUC of {}, plain pixel motion with {}: {} clips, {} covered and \
                 {} clear tokens, {} clips without both left out.",
                auc(&mask.priorities),
                auc(&mask.pixel_motion),
                mask.num_clips,
                mask.num_covered,
                mask.num_clear,
                mask.num_left_out
            ));
        }
        said
    }

    /// The section of a page.
    ///
    /// * `name` - of the run, where a page has several
    pub(crate) fn section(&self, name: Option<&str>) -> Section {
        let title = name.map_or_else(|| "Tokens kept".to_owned(), |name| format!("Tokens kept: {name}"));
        let intro = "Clips drawn from few of their tokens: chosen by the learned priorities, by pixel motion, evenly, or at \
                     random, always equally many.";
        let mut section = Section::new(&title, intro).with(Block::Charts(vec![self.curve(), self.gain_chart()]));
        section.blocks.extend(self.remarks().into_iter().map(Block::Text));
        let notes: Vec<String> =
            self.failed.iter().map(|clip| format!("{} was left out: {}", clip.segment, clip.reason)).collect();
        if !notes.is_empty() {
            section.blocks.push(Block::Notes(notes));
        }
        section.with(Block::Table(self.table()))
    }
}

#[cfg(test)]
mod tests;
