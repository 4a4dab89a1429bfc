//! Declarations of `shim/*.cpp`, and the way back for its errors.
use std::ffi::{CStr, CString, c_char, c_int, c_void};

use tch::Tensor;
pub(crate) use torch_sys::C_tensor;

use crate::Error;

/// Opaque handles of `shim/collective.cpp`.
#[repr(C)]
pub(crate) struct CStore(c_void);
#[repr(C)]
pub(crate) struct CGloo(c_void);
#[repr(C)]
pub(crate) struct CWork(c_void);

pub(crate) type Run = extern "C" fn(*mut c_void, *const *mut C_tensor, c_int, *mut *mut C_tensor) -> c_int;
pub(crate) type Drop = extern "C" fn(*mut c_void);

/// The shim's autocast scope; only ever behind a pointer.
#[repr(C)]
pub(crate) struct AutocastScope {
    _opaque: [u8; 0],
}

/// The shim's watch; only ever behind a pointer.
#[repr(C)]
pub(crate) struct Watching {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    pub(crate) fn lv_last_error() -> *const c_char;
    pub(crate) fn lv_set_last_error(message: *const c_char);
    pub(crate) fn lv_torch_version() -> *const c_char;
    pub(crate) fn lv_memory_install() -> c_int;
    pub(crate) fn lv_memory_stats(out: *mut i64);
    pub(crate) fn lv_memory_reset_peak();
    pub(crate) fn lv_memory_set_limit(bytes: i64);
    pub(crate) fn lv_device_stats(device_type: c_int, index: c_int, out: *mut i64) -> c_int;
    pub(crate) fn lv_device_reset_peak(device_type: c_int, index: c_int) -> c_int;
    pub(crate) fn lv_device_memory_info(device_type: c_int, index: c_int, out: *mut i64) -> c_int;
    pub(crate) fn lv_checkpoint(
        run: Run,
        drop: Drop,
        closure: *mut c_void,
        inputs: *const *mut C_tensor,
        num_inputs: c_int,
        output: *mut *mut C_tensor,
    ) -> c_int;
    #[allow(clippy::too_many_arguments, reason = "mirrors at::_fused_adamw_")]
    pub(crate) fn lv_fused_adamw(
        params: *const *mut C_tensor,
        grads: *const *mut C_tensor,
        exp_avgs: *const *mut C_tensor,
        exp_avg_sqs: *const *mut C_tensor,
        steps: *const *mut C_tensor,
        n: c_int,
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
    ) -> c_int;
    pub(crate) fn lv_drop_gradients(list: *const *mut C_tensor, n: c_int) -> c_int;
    pub(crate) fn lv_autocast_begin(device_type: c_int, is_bf16: c_int, output: *mut *mut AutocastScope) -> c_int;
    pub(crate) fn lv_autocast_end(scope: *mut AutocastScope);
    pub(crate) fn lv_autocast_is_bf16(device_type: c_int, output: *mut c_int) -> c_int;
    pub(crate) fn lv_cpu_has(feature: *const c_char, output: *mut c_int) -> c_int;
    pub(crate) fn lv_watch_begin(
        variables: *const *mut C_tensor,
        names: *const *const c_char,
        n: c_int,
        output: *mut *mut Watching,
    ) -> c_int;
    pub(crate) fn lv_watch_finding(
        watching: *mut Watching,
        is_found: *mut c_int,
        codes: *mut c_int,
        value: *mut f64,
        texts: *mut *const c_char,
    ) -> c_int;
    pub(crate) fn lv_watch_end(watching: *mut Watching);
    pub(crate) fn lv_group_norm_silu(
        x: *mut C_tensor,
        weight: *mut C_tensor,
        bias: *mut C_tensor,
        num_groups: i64,
        eps: f64,
        output: *mut *mut C_tensor,
    ) -> c_int;
    pub(crate) fn lv_total_norm(list: *const *mut C_tensor, n: c_int, output: *mut *mut C_tensor) -> c_int;
    pub(crate) fn lv_store_open(
        host: *const c_char,
        port: u16,
        listen_fd: c_int,
        prefix: *const c_char,
        timeout_ms: i64,
        out: *mut *mut CStore,
    ) -> c_int;
    pub(crate) fn lv_store_free(store: *mut CStore);
    pub(crate) fn lv_store_add(store: *mut CStore, key: *const c_char, amount: i64, sum: *mut i64) -> c_int;
    pub(crate) fn lv_store_set(store: *mut CStore, key: *const c_char, value: *const c_char) -> c_int;
    pub(crate) fn lv_store_get(
        store: *mut CStore,
        key: *const c_char,
        buffer: *mut c_char,
        size: i64,
        length: *mut i64,
    ) -> c_int;
    pub(crate) fn lv_gloo_connect(
        store: *mut CStore,
        address: *const c_char,
        rank: c_int,
        num_ranks: c_int,
        timeout_ms: i64,
        out: *mut *mut CGloo,
    ) -> c_int;
    pub(crate) fn lv_gloo_free(gloo: *mut CGloo);
    pub(crate) fn lv_gloo_start(
        gloo: *mut CGloo,
        operation: c_int,
        tensor: *mut C_tensor,
        out: *mut *mut CWork,
    ) -> c_int;
    pub(crate) fn lv_work_wait(work: *mut CWork, slice_ms: i64, ended: *mut c_int) -> c_int;
    pub(crate) fn lv_work_free(work: *mut CWork);
}

/// Handles of tensors that stay ours; valid as long as `tensors` is.
pub(crate) fn handles(tensors: &[Tensor]) -> Vec<*mut C_tensor> {
    tensors.iter().map(|t| t.as_ptr().cast_mut()).collect()
}

/// The message of this thread's last failed call.
pub(crate) fn last_error() -> String {
    // SAFETY: the shim returns a pointer to a thread-local std::string, valid until this thread's next failing call.
    unsafe { CStr::from_ptr(lv_last_error()) }.to_string_lossy().into_owned()
}

/// Leaves a message for the C++ side, which throws it on.
pub(crate) fn set_last_error(message: &str) {
    let message = CString::new(message.replace('\0', " ")).unwrap_or_default();
    // SAFETY: the shim copies the string before it returns.
    unsafe { lv_set_last_error(message.as_ptr()) };
}

/// Turns the shim's status into a result.
pub(crate) fn check(status: c_int, during: &'static str) -> Result<(), Error> {
    if status == 0 { Ok(()) } else { Err(Error::torch(during, &last_error())) }
}

/// Takes ownership of the tensor that a shim call wrote.
pub(crate) fn take(status: c_int, output: *mut C_tensor, during: &'static str) -> Result<Tensor, Error> {
    check(status, during)?;
    // SAFETY: on status 0 the shim has written a `new at::Tensor`, which from_ptr takes over.
    Ok(unsafe { Tensor::from_ptr(output) })
}
