//! Lets this crate's tests find libtorch without LD_LIBRARY_PATH.
#![allow(clippy::print_stdout, reason = "how a build script speaks to cargo")]

fn main() {
    let dir = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys reports where libtorch lies");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{dir}");
}
