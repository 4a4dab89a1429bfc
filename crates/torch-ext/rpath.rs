//! Build script shared by the crates that link libtorch: their tests and programs find it without LD_LIBRARY_PATH.
#![allow(clippy::print_stdout, reason = "how a build script speaks to cargo")]

pub(crate) fn main() {
    println!("cargo:rerun-if-env-changed=DEP_TORCH_EXT_LIBTORCH");
    let dir = std::env::var("DEP_TORCH_EXT_LIBTORCH").expect("torch-ext reports where libtorch lies");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{dir}");
}
