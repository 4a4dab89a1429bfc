//! What crosses rooms: who may use whom, and the program as a process.

mod arrows;
mod bad_input;
mod check;
mod critics;
mod epic;
mod finetune;
mod fixture;
mod folder;
mod formats;
mod interrupted;
mod killed;
mod plan;
mod presets;
mod pretraining;
mod program;
mod quantize;
mod ranks;
mod score;
mod tokenizer_eval;
mod tokens;
mod trajectory;
mod trouble;
mod weights;
