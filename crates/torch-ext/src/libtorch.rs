use std::ffi::CStr;
use std::path::PathBuf;

use crate::shim;

/// The libtorch that this process runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libtorch {
    /// Version of the headers that the shim was compiled against, which the libraries have to match.
    pub version: String,
    /// Folder of the loaded `libtorch_cpu.so`; `None` where the loader does not tell.
    pub folder: Option<PathBuf>,
}

/// Finds the loaded libtorch through one of its functions.
pub fn libtorch() -> Libtorch {
    // SAFETY: the shim returns a string literal.
    let version = unsafe { CStr::from_ptr(shim::lv_torch_version()) }.to_string_lossy().into_owned();
    Libtorch { version, folder: folder() }
}

fn folder() -> Option<PathBuf> {
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
    path.parent().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaded_libtorch_is_found() {
        let found = libtorch();
        assert!(found.version.starts_with("2.11."), "{found:?}");
        assert!(found.folder.is_some_and(|folder| folder.join("libtorch_cpu.so").exists()));
    }
}
