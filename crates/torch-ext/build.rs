//! Compiles the C++ shim against the libtorch that torch-sys found, and passes that folder on.
#![allow(clippy::print_stdout, reason = "how a build script speaks to cargo")]

use std::path::PathBuf;

fn main() {
    let lib = PathBuf::from(std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys reports where libtorch lies"));
    let include = lib.with_file_name("include");
    // A distribution's C++ ABI is the new one; the macro must agree with libtorch's own build.
    let abi = std::env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".into());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .warnings(false)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        // As libtorch itself is built: some of its classes have members more without it.
        .define("NDEBUG", None)
        .file("shim/memory.cpp")
        .file("shim/autograd.cpp")
        .file("shim/autocast.cpp")
        .file("shim/non_finite.cpp")
        .file("shim/norm.cpp")
        .file("shim/collective.cpp")
        .include("shim/gloo_fwd")
        .compile("longvid_shim");
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:libtorch={}", lib.display());
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
}
