//! `longvid tokenizer`: train codes and priorities, write them for a whole store, look at them.

mod critics;
mod draw;
mod encode;
mod eval;
mod train;

use anyhow::Context as _;

use self::draw::{Artist, Sketch, spread};
pub(crate) use self::encode::encode;
pub(crate) use self::eval::eval;
pub(crate) use self::train::train;
use super::training::say;
use crate::album::Album;
use crate::cli::TokenizerReconstructArgs;
use crate::clips;
use crate::frozen::Frozen;
use crate::session::Session;

pub(crate) fn reconstruct(args: &TokenizerReconstructArgs, session: &Session) -> anyhow::Result<()> {
    let store = clips::open_clips(&args.clips)?;
    let frozen = Frozen::load(&args.tokenizer, session.device)?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create {:?}", args.out))?;
    let album = &mut Album::open(&args.out)?;
    let Frozen { model, geometry, keep_ratio, .. } = &frozen;
    let artist = Artist { model, geometry: *geometry, keep_ratio: *keep_ratio, device: session.device };
    let segments = spread(args.count, store.segments().len());
    let sketches = segments.map(|segment| artist.draw(&store, segment)).collect::<anyhow::Result<Vec<_>>>()?;
    say(&format!("{:24} {:>15} {:>15}", "segment", "all tokens, dB", "kept only, dB"))?;
    for Sketch { id, picture, caption, psnr_db: [all, kept], .. } in sketches {
        album.add(&format!("tokens_{id}"), None, &caption, &picture)?;
        say(&format!("{id:24} {all:15.2} {kept:15.2}"))?;
    }
    Ok(say(&format!("wrote pictures to {}", args.out.display()))?)
}
