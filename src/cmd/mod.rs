//! One file per command: the only place where the rooms meet.

pub(crate) mod bench;
pub(crate) mod data;
pub(crate) mod demo;
mod doctor;
pub(crate) mod eval;
pub(crate) mod launch;
mod plan;
pub(crate) mod pretrain;
pub(crate) mod report;
mod stage;
mod study;
mod synth;
pub(crate) mod tokenizer;
mod training;
mod weights;

use crate::cli::{
    BenchCommand, Command, DataCommand, EvalCommand, StudyCommand, SynthCommand, TokenizerCommand, WeightsCommand,
};
use crate::exit::BadInput;
use crate::session::Session;

/// Runs one command.
pub(crate) fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::Doctor => doctor::run(session),
        Command::Data(DataCommand::Synth(SynthCommand::Dives(args))) => synth::dives(&args, session),
        Command::Data(DataCommand::Synth(SynthCommand::Kitchens(args))) => synth::kitchens(&args, session),
        Command::Data(DataCommand::Import(args)) => data::import(&args, session),
        Command::Data(DataCommand::Info(args)) => data::info(&args, session),
        Command::Data(DataCommand::Verify(args)) => data::stores::verify(&args, session),
        Command::Data(DataCommand::Merge(args)) => data::stores::merge(&args, session),
        Command::Data(DataCommand::Append(args)) => data::stores::append(&args, session),
        Command::Data(DataCommand::Export(args)) => data::export(&args, session),
        Command::Data(DataCommand::Check(args)) => data::check(&args, session),
        Command::Tokenizer(TokenizerCommand::Train(args)) => tokenizer::train(&args, session),
        Command::Tokenizer(TokenizerCommand::Encode(args)) => tokenizer::encode(&args, session),
        Command::Tokenizer(TokenizerCommand::Reconstruct(args)) => tokenizer::reconstruct(&args, session),
        Command::Tokenizer(TokenizerCommand::Eval(args)) => tokenizer::eval(&args, session),
        Command::Pretrain(args) => pretrain::run(&args, session),
        Command::Eval(EvalCommand::Knn(args)) => eval::probe::knn(&args, session),
        Command::Eval(EvalCommand::Linear(args)) => eval::probe::linear(&args, session),
        Command::Eval(EvalCommand::Attentive(args)) => eval::probe::attentive(&args, session),
        Command::Eval(EvalCommand::Finetune(args)) => eval::finetune::run(&args, session),
        Command::Eval(EvalCommand::Test(args)) => eval::finetune::test_saved(&args, session),
        Command::Eval(EvalCommand::Score(args)) => eval::score::run(&args, session),
        Command::Eval(EvalCommand::Submit(args)) => eval::submit::run(&args),
        Command::Eval(EvalCommand::Export(args)) => eval::export::run(&args),
        Command::Bench(BenchCommand::Memory(args)) => bench::memory::memory(&args, session),
        Command::Bench(BenchCommand::Step(args)) => bench::step::step(&args, session),
        Command::Weights(WeightsCommand::Import(args)) => weights::import(&args),
        Command::Weights(WeightsCommand::Export(args)) => weights::export(&args),
        Command::Bench(BenchCommand::Loader(args)) => bench::loader::loader(&args, session),
        Command::Study(StudyCommand::DecoderMasks(args)) => study::decoder_masks(&args, session),
        Command::Study(StudyCommand::Frames(args)) => study::frames(&args, session),
        Command::Study(StudyCommand::Clusters(args)) => study::clusters(&args, session),
        Command::Study(StudyCommand::Orders(args)) => study::orders(&args, session),
        Command::Bench(BenchCommand::MemoryPoint(args)) => bench::point::memory_point(&args, session),
        Command::Plan(args) => plan::run(&args, session),
        Command::Launch(_) => Err(BadInput("launch is no part of another command".to_owned()).into()),
        Command::Report(args) => report::run(&args),
        Command::Demo(args) => demo::run(&args, session),
    }
}
