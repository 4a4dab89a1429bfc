//! Synthetic kitchens: untrimmed first-person videos with many labelled actions each, in the form of EPIC-KITCHENS-100.
//!
//! A camera on the head of a standing person looks down at a counter. Hands come from below, open drawers, turn taps, take
//! and put crockery, wash, cut and stir; between actions they wait. Kitchen and skin belong to the participant, light,
//! sleeve, layout and distracting jars to the video.
//!
//! Four pairs of verbs differ in nothing but the order of frames: take and put, open and close, turn-on and turn-off, fill
//! and empty.
//!
//! * Every motion is a function of the share of it that is done. The second verb of a pair runs through the same shares in
//!   the reverse order, bit for bit.
//! * All that surrounds a motion (camera, light, waiting hands, pauses, margins of the annotation, states of the other
//!   objects) is drawn for a script, and a fair coin shows the script forwards or backwards. So a video and its reverse, in
//!   which each verb has become its partner, are equally likely. Whatever ignores the order of a segment's frames (the
//!   middle frame, the mean frame, the set of frames, their number) therefore has one distribution for both verbs.
//!
//! A frame off the middle does tell: "open" begins with what is closed. And this holds for frames as they are rendered; the
//! H.264 encoder runs forwards, and what it loses depends a little on the direction of time. The verbs wash, cut, mix and
//! shake are periodic and have no partner.
//!
//! Annotations are a little longer or shorter than the motion, so that neighbours may overlap, and videos have
//! two frame rates, so that frames must be sampled by time.

mod annotations;
mod easel;
mod film;
mod hand;
mod head;
mod layout;
mod motion;
mod options;
mod props;
mod room;
mod script;
mod words;
mod write;

#[cfg(test)]
mod tests;

pub use options::KitchenOptions;
pub use write::synth_kitchens;
