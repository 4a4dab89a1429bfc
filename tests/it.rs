//! What crosses rooms: who may use whom, and the program as a process.

mod arrows;
mod bad_input;
mod check;
mod fixture;
mod folder;
mod interrupted;
mod presets;
mod program;
