#![allow(missing_docs)]
#[derive(Debug)]
pub enum Group {}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub enum GroupError {}
impl Group {
    pub fn num_ranks(&self) -> usize { match *self {} }
    pub fn rank(&self) -> usize { match *self {} }
    pub fn mean(&self, _: &[tch::Tensor]) -> Result<(), GroupError> { match *self {} }
    pub fn broadcast(&self, _: &[tch::Tensor]) -> Result<(), GroupError> { match *self {} }
    pub fn sum_values(&self, _: &mut [f64]) -> Result<(), GroupError> { match *self {} }
}
pub fn autocast<T>(_: tch::Device, f: impl FnOnce() -> T) -> T { f() }
pub fn has_bf16(_: tch::Device) -> bool { false }
