use std::f32::consts::TAU;
use std::ops::Range;

use rand::RngExt;
use spec::{Purpose, rng_for};

use super::super::canvas::Canvas;
use super::super::dive::between;
use super::super::render::expose;
use super::super::scene::{Rgb, hsv};
use super::super::vec3::{Vec3, vec3};
use super::KitchenOptions;
use super::easel::Easel;
use super::hand::Hand;
use super::head::Head;
use super::layout::{Item, Kitchen};
use super::motion::Actor;
use super::props::paint_tool;
use super::room::{Jar, draw_jars};
use super::script::{Action, Kind, Script};
use super::words::{Noun, Verb};

/// Participants draw from items above all videos.
const FIRST_PARTICIPANT_ITEM: u64 = 1 << 33;

/// Which video of a set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shot {
    /// Counted from 1: `P01`.
    pub(super) participant: u64,
    /// What the video's own choices are drawn from.
    pub(super) item: u64,
    pub(super) frames_per_sec: f64,
}

/// One labelled action.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Segment {
    pub(super) verb: Verb,
    pub(super) noun: Noun,
    /// What it is done with, if that is named.
    pub(super) tool: Option<Noun>,
    /// As annotated, seconds.
    pub(super) start_secs: f64,
    pub(super) stop_secs: f64,
    /// When the person says it.
    pub(super) narration_secs: f64,
    /// Frames of the motion itself.
    pub(super) motion: Range<usize>,
}

/// A video: a script and everything that chance decided about how it looks.
#[derive(Clone, Debug)]
pub(super) struct Film {
    pub(super) shot: Shot,
    pub(super) seed: u64,
    pub(super) kitchen: Kitchen,
    pub(super) items: Vec<Item>,
    jars: Vec<Jar>,
    pub(super) script: Script,
    pub(super) head: Head,
    pub(super) actor: Actor,
    /// Shown from the last frame of the script to the first.
    pub(super) backwards: bool,
    sleeve: Rgb,
    /// Direction to the light, unit length.
    light: Vec3,
    /// Colour of the light.
    tint: Rgb,
    /// Standard deviation of the sensor noise, of 1.
    noise: f32,
    /// How far the brightness wanders, of 1, and its phase.
    pub(super) flicker: [f32; 2],
}

impl Film {
    /// Draws a video. A fair coin decides whether the script is shown forwards or backwards: a film and its reverse are
    /// equally likely, whatever else is drawn.
    pub(super) fn draw(options: &KitchenOptions, shot: Shot) -> Film {
        let seed = options.seed;
        let kitchen = Kitchen::draw(&mut rng_for(seed, 0, FIRST_PARTICIPANT_ITEM + shot.participant, Purpose::Synth));
        let rng = &mut rng_for(seed, 0, shot.item, Purpose::Synth);
        let items = kitchen.lay_out(rng);
        let script = Script::draw(&items, options.segments_per_video, shot.frames_per_sec as f32, rng);
        let secs = script.num_frames as f32 / shot.frames_per_sec as f32;
        let warmth = between(rng, [-0.08, 0.08]);
        let brightness = between(rng, [0.82, 1.08]);
        Film {
            shot,
            seed,
            jars: draw_jars(&kitchen, rng),
            head: Head::draw(secs, rng),
            actor: Actor::draw(rng),
            backwards: rng.random(),
            sleeve: hsv(rng.random(), between(rng, [0.2, 0.8]), between(rng, [0.25, 0.8])),
            light: vec3(between(rng, [-0.7, 0.7]), 1.0, between(rng, [-0.2, 0.7])).unit(),
            tint: vec3(brightness * (1.0 + warmth), brightness, brightness * (1.0 - warmth)),
            noise: between(rng, [0.006, 0.018]),
            flicker: [between(rng, [0.005, 0.03]), between(rng, [0.0, TAU])],
            kitchen,
            items,
            script,
        }
    }

    pub(super) fn num_frames(&self) -> usize {
        self.script.num_frames
    }

    pub(super) fn secs(&self) -> f64 {
        self.num_frames() as f64 / self.shot.frames_per_sec
    }

    /// The labels, in the order of their annotated starts.
    pub(super) fn segments(&self) -> Vec<Segment> {
        let mut segments: Vec<Segment> = self.script.actions.iter().map(|action| self.segment(action)).collect();
        segments.sort_by(|a, b| a.start_secs.total_cmp(&b.start_secs));
        segments
    }

    fn segment(&self, action: &Action) -> Segment {
        let noun = self.items[action.item].noun;
        let mut verb = action.verb(noun);
        let mut motion = action.start_frame..action.start_frame + action.num_frames;
        let [mut before, mut after] = action.margin_secs.map(f64::from);
        if self.backwards {
            verb = verb.reversed();
            motion = self.num_frames() - motion.end..self.num_frames() - motion.start;
            (before, after) = (after, before);
        }
        let start_secs = motion.start as f64 / self.shot.frames_per_sec - before;
        let stop_secs = motion.end as f64 / self.shot.frames_per_sec + after;
        let tool = match (action.kind, noun) {
            (Kind::Cut, _) => Some(Noun::Knife),
            (Kind::Wash, _) => Some(Noun::Sponge),
            (Kind::Mix, _) | (Kind::Alter, Noun::Cup | Noun::Pan) => Some(Noun::Spoon),
            _ => None,
        };
        let narration_secs = start_secs + 0.3 * f64::from(action.chance[3]) * (stop_secs - start_secs);
        Segment { verb, noun, tool, start_secs, stop_secs, narration_secs, motion }
    }

    /// One frame as the light makes it, before the sensor: `[height, width]` colours.
    ///
    /// * `size_px` - width and height
    pub(super) fn picture(&self, frame: usize, size_px: [u32; 2]) -> Vec<Rgb> {
        let frame = if self.backwards { self.num_frames() - 1 - frame } else { frame };
        let t = frame as f32 / self.shot.frames_per_sec as f32;
        let view = self.head.view(t);
        let stage = self.actor.stage(&self.script, &self.items, frame, self.shot.frames_per_sec as f32);
        let mut canvas = Canvas::new(size_px);
        canvas.fill(&view, |ray| self.kitchen.backdrop(view.eye, ray));
        let mut easel = Easel { canvas: &mut canvas, view: &view, light: self.light };
        for jar in &self.jars {
            jar.paint(&mut easel);
        }
        for (item, pose) in self.items.iter().zip(&stage.items).filter(|(_, pose)| pose.present) {
            item.paint(pose, &mut easel);
        }
        for (pose, side) in stage.hands.into_iter().zip([self.actor.lead, -self.actor.lead]) {
            Hand { pose, side, skin: self.kitchen.skin, sleeve: self.sleeve }.paint(&mut easel);
        }
        if let (Some(tool), Some(action)) = (stage.held, self.script.action_at(frame).0) {
            paint_tool(tool, &stage.hands[0], &self.items[action.item], &mut easel);
        }
        let [depth, phase] = self.flicker;
        let light = self.tint * (1.0 + depth * ((1.7 * t + phase).sin() + 0.5 * (6.1 * t + 2.0 * phase).sin()));
        canvas.pixels().into_iter().map(|c| vec3(c.x * light.x, c.y * light.y, c.z * light.z)).collect()
    }

    /// One frame as the camera stores it: `[height, width, 3]` bytes of RGB, row by row.
    pub(super) fn frame(&self, frame: usize, size_px: [u32; 2]) -> Vec<u8> {
        let sensor = &mut rng_for(self.seed, frame as u64 + 1, self.shot.item, Purpose::Synth);
        expose(&self.picture(frame, size_px), 1.0, self.noise, sensor)
    }
}
