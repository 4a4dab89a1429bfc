//! Synthetic video with labels, for demos, tests and benchmarks without a download: dives in the form of Diving48 V2 (here)
//! and kitchens in the form of EPIC-KITCHENS-100 ([`synth_kitchens`]).
//!
//! An articulated diver leaves a springboard, somersaults about the lateral axis, twists about the long axis and enters
//! the water head first, followed by a panning camera before a procedural pool. The classes are combinations of
//! take-off, somersaults, twists and position in Diving48's words. They are made so that no short cut tells them:
//!
//! * one frame: all classes with the same take-off begin and end alike (half-integer somersaults, whole twists), and when
//!   in the flight the diver turns is drawn at random;
//! * duration or speed: the length of video, approach and flight ignores the class, and half of what distinguishes two
//!   counts goes into how fast and half into how long the diver turns, both blurred by chance ([`Dive`]);
//! * background: a source video (pool, camera, colours) films all classes, and train and test have different sources;
//! * few frames: with 8 or 16 frames per video the diver makes more than half a twist from one to the next, so that one
//!   and two twists look alike; with 128 it is far less ([`DiveOptions::twist_rate`]).
//!
//! What is not physical: angular momentum (speed is drawn, see above, a tuck does not spin faster) and, as in
//! much of Diving48, the clock: flights last 2 to 3.5 seconds, as in slow motion.

mod background;
mod body;
mod camera;
mod canvas;
mod class;
mod dive;
mod kitchens;
mod mask;
mod options;
mod output;
mod pose;
mod render;
mod scene;
mod vec3;
mod write;

#[cfg(test)]
mod tests;

pub use class::{DiveClass, DiveSet, Position, Takeoff};
pub use dive::Dive;
pub use kitchens::{KitchenOptions, synth_kitchens};
pub use mask::MaskVideo;
pub use options::{Camera, DiveOptions, Place};
pub use output::SynthReport;
pub use render::{render_dive, render_dive_masks};
pub use scene::Scene;
pub use write::synth_dives;
