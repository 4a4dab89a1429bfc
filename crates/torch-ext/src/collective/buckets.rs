//! Many tensors as few flat ones.

use tch::{Device, Kind, Tensor};

use super::Connected;
use super::gloo::{Reduction, Work};
use crate::Error;

/// Size of a bucket: large enough that latency does not count, small enough that copying one overlaps with the exchange
/// of another. The value of PyTorch's DistributedDataParallel.
const BUCKET_BYTES: usize = 25 << 20;

/// Tensors of one element type and device that are exchanged as one.
struct Bucket {
    members: Vec<Tensor>,
    /// Their values one after the other, `[sum of numel]`, on the CPU.
    flat: Tensor,
    work: Work,
}

/// Reduces all tensors in place; then divides by `divisor`, where it is not 1. At most the tensors' own bytes are held
/// beside them.
pub(super) fn reduce(to: &Connected, reduction: Reduction, tensors: &[Tensor], divisor: usize) -> Result<(), Error> {
    let started: Result<Vec<Bucket>, Error> =
        plan(tensors, BUCKET_BYTES).into_iter().map(|members| start(to, reduction, members)).collect();
    for bucket in started? {
        to.wait(&bucket.work)?;
        bucket.spread(divisor).map_err(|err| Error::torch("spreading a bucket", &err.to_string()))?;
    }
    Ok(())
}

/// In the order of the list: a bucket is closed when the next tensor of its type and device would overfill it. A tensor
/// larger than a bucket has one of its own.
fn plan(tensors: &[Tensor], bucket_bytes: usize) -> Vec<Vec<Tensor>> {
    let mut buckets: Vec<Vec<Tensor>> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for tensor in tensors.iter().filter(|tensor| tensor.numel() > 0) {
        let (kind, device) = (tensor.kind(), tensor.device());
        let bytes = tensor.numel() * kind.elt_size_in_bytes();
        match open.iter_mut().find(|open| (open.kind, open.device) == (kind, device)) {
            Some(open) if open.bytes + bytes <= bucket_bytes => {
                open.bytes += bytes;
                buckets[open.index].push(tensor.detach());
            }
            full => {
                let fresh = Open { kind, device, bytes, index: buckets.len() };
                match full {
                    Some(full) => *full = fresh,
                    None => open.push(fresh),
                }
                buckets.push(vec![tensor.detach()]);
            }
        }
    }
    buckets
}

/// The bucket that tensors of a type and device go to.
struct Open {
    kind: Kind,
    device: Device,
    bytes: usize,
    index: usize,
}

fn start(to: &Connected, reduction: Reduction, members: Vec<Tensor>) -> Result<Bucket, Error> {
    let flat = flatten(&members).map_err(|err| Error::torch("gathering a bucket", &err.to_string()))?;
    let work = to.gloo.start(reduction, &flat)?;
    Ok(Bucket { members, flat, work })
}

fn flatten(members: &[Tensor]) -> Result<Tensor, tch::TchError> {
    let rows = members.iter().map(|member| member.f_reshape(-1)).collect::<Result<Vec<_>, _>>()?;
    // Gloo works on the CPU: what lies on a GPU is staged there.
    Tensor::f_cat(&rows, 0)?.f_to_device(Device::Cpu)
}

impl Bucket {
    /// Writes the reduced values back into the tensors.
    fn spread(self, divisor: usize) -> Result<(), tch::TchError> {
        let mut flat = self.flat;
        if divisor != 1 {
            flat = flat.f_divide_scalar_(divisor as f64)?;
        }
        let device = self.members.first().map_or(Device::Cpu, Tensor::device);
        let flat = flat.f_to_device(device)?;
        let mut offset = 0;
        for mut member in self.members {
            let length = member.numel() as i64;
            let values = flat.f_narrow(0, offset, length)?.f_view_as(&member)?;
            member.f_copy_(&values)?;
            offset += length;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_one_type_each_and_never_more_than_their_size() {
        let tensor = |n: i64, kind| Tensor::zeros([n], (kind, Device::Cpu));
        // 4 bytes per float, 8 per double; 40 bytes per bucket.
        let list = [
            tensor(6, Kind::Float),
            tensor(2, Kind::Double),
            tensor(4, Kind::Float),
            tensor(0, Kind::Half),
            tensor(1, Kind::Float),
            tensor(100, Kind::Float),
            tensor(1, Kind::Float),
            tensor(3, Kind::Double),
        ];
        let sizes: Vec<Vec<usize>> =
            plan(&list, 40).iter().map(|members| members.iter().map(Tensor::numel).collect()).collect();
        assert_eq!(sizes, [vec![6, 4], vec![2, 3], vec![1], vec![100], vec![1]]);
    }
}
