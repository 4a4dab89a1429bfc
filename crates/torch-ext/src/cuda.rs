use std::ffi::{CStr, CString};
use std::path::PathBuf;

use crate::libtorch;

/// What became of looking for libtorch's CUDA half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CudaBackend {
    /// `libtorch_cuda.so` is loaded; whether a GPU answers is `tch::Cuda::is_available`'s to say.
    Loaded(PathBuf),
    /// There is none beside `libtorch_cpu.so`: a CPU-only libtorch.
    Absent,
    /// It is there but does not load; the loader's message.
    Broken(String),
}

/// Loads `libtorch_cuda.so` where it lies beside the `libtorch_cpu.so` that this process uses, which turns the CUDA
/// backend on: one binary, linked against the CPU libraries alone, serves both. To be called before any tensor exists.
pub fn load_cuda() -> CudaBackend {
    let Some(path) = libtorch().folder.map(|folder| folder.join("libtorch_cuda.so")) else {
        return CudaBackend::Absent;
    };
    if !path.is_file() {
        return CudaBackend::Absent;
    }
    let Ok(name) = CString::new(path.as_os_str().as_encoded_bytes()) else { return CudaBackend::Absent };
    // SAFETY: runs the initialisers of a library of the same libtorch that is already linked.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if !handle.is_null() {
        return CudaBackend::Loaded(path);
    }
    // SAFETY: dlerror returns null or a string that is valid until the next dl call of this thread.
    let message = unsafe {
        let said = libc::dlerror();
        if said.is_null() { String::new() } else { CStr::from_ptr(said).to_string_lossy().into_owned() }
    };
    CudaBackend::Broken(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_is_absent_exactly_where_its_library_is() {
        let there = libtorch().folder.is_some_and(|folder| folder.join("libtorch_cuda.so").is_file());
        assert_eq!(load_cuda() != CudaBackend::Absent, there);
    }
}
