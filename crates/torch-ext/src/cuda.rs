use std::ffi::{CStr, CString};
use std::path::PathBuf;

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
    let Some(path) = beside_libtorch_cpu("libtorch_cuda.so") else { return CudaBackend::Absent };
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

/// A file beside the `libtorch_cpu.so` of this process, found through one of its functions.
fn beside_libtorch_cpu(file: &str) -> Option<PathBuf> {
    // SAFETY: dlsym and dladdr only look up; `info` is written before it is read, and only on success.
    let path = unsafe {
        let symbol = libc::dlsym(libc::RTLD_DEFAULT, c"aoti_torch_device_type_cpu".as_ptr());
        if symbol.is_null() {
            return None;
        }
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(symbol, &mut info) == 0 || info.dli_fname.is_null() {
            return None;
        }
        PathBuf::from(CStr::from_ptr(info.dli_fname).to_string_lossy().into_owned())
    };
    Some(path.with_file_name(file))
}
