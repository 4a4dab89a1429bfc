use std::path::{Path, PathBuf};

use nn::{During, expect_kind, expect_shape};
use tch::{CModule, Device, IValue, Kind, TchError, Tensor};

use crate::EvalError;

/// Largest number of features that a network may give per clip: their covariance must fit into memory.
const MAX_WIDTH: i64 = 4096;

/// A user's video network for the Frechet video distance, usually I3D trained on Kinetics-400.
///
/// A TorchScript module with StyleGAN-V's calling convention, that of its `i3d_torchscript.pt`: `forward(x, rescale,
/// resize, return_features)` of one f32 clip `[1, 3, F, H, W]` in `[-1, 1]` and three booleans. It is called with
/// `rescale` false (the values are scaled already), `resize` true (the network brings frames to the size that it knows)
/// and `return_features` true (400 numbers before the softmax), and has to give `[1, D]`.
#[derive(Debug)]
pub struct I3d {
    module: CModule,
    device: Device,
    path: PathBuf,
}

impl I3d {
    /// Reads the module.
    ///
    /// # Errors
    /// [`EvalError::NoTorchScript`] when the file is not there or is something else.
    pub fn load(path: &Path, device: Device) -> Result<Self, EvalError> {
        let unreadable = |source| EvalError::NoTorchScript { path: path.to_owned(), source };
        let mut module = CModule::load_on_device(path, device).map_err(unreadable)?;
        module.f_set_eval().map_err(unreadable)?;
        Ok(I3d { module, device, path: path.to_owned() })
    }

    /// Features of a clip, `[D]`.
    ///
    /// * `clip_fhwc` - `[F, H, W, 3]` u8
    ///
    /// # Errors
    /// [`EvalError::I3d`] when the module cannot be called so, [`EvalError::I3dShape`] when it gives anything but one
    /// row of features; [`EvalError::Nn`] for another clip.
    pub fn features(&self, clip_fhwc: &Tensor) -> Result<Vec<f64>, EvalError> {
        expect_shape("clip", clip_fhwc, &[-1, -1, -1, 3])?;
        expect_kind("clip", clip_fhwc, Kind::Uint8)?;
        let input = || {
            let x = clip_fhwc.f_to_device(self.device)?.f_permute([3, 0, 1, 2])?.f_unsqueeze(0)?;
            x.f_to_kind(Kind::Float)?.f_div_scalar(127.5)?.f_sub_scalar(1.0)?.f_contiguous()
        };
        let x = IValue::Tensor(input().during("scaling a clip")?);
        let [rescale, resize, return_features] = [false, true, true].map(IValue::Bool);
        let given = tch::no_grad(|| self.module.method_is("forward", &[x, rescale, resize, return_features]));
        let given = given.map_err(|source| EvalError::I3d { path: self.path.clone(), source })?;
        let wrong = |given: String| EvalError::I3dShape { path: self.path.clone(), given };
        let IValue::Tensor(features) = given else { return Err(wrong("no tensor".to_owned())) };
        match features.size()[..] {
            [1, width] if (1..=MAX_WIDTH).contains(&width) => {}
            _ => return Err(wrong(format!("{:?}", features.size()))),
        }
        let read = || -> Result<Vec<f64>, TchError> {
            Vec::try_from(features.f_reshape([-1])?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?)
        };
        Ok(read().during("reading features")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(name: &str) -> Result<I3d, EvalError> {
        I3d::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name), Device::Cpu)
    }

    /// Two frames of 4 x 4 pixels: the first black, the second white in red and black else.
    fn clip() -> Tensor {
        let clip = Tensor::zeros([2, 4, 4, 3], (Kind::Uint8, Device::Cpu));
        let _red = clip.narrow(0, 1, 1).narrow(3, 0, 1).fill_(255);
        clip
    }

    #[test]
    fn a_module_is_called_as_style_gan_v_does() {
        // The stand-in answers with the mean of each colour, then 1 where a switch is on: rescale, resize,
        // return_features.
        assert_eq!(load("i3d_stub.pt").unwrap().features(&clip()).unwrap(), [0.0, -1.0, -1.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn files_that_are_no_such_module_are_refused() {
        let said = load("make_recon.py").unwrap_err().to_string();
        assert!(said.contains("make_recon.py") && said.contains("is no TorchScript module"), "{said}");
        assert!(matches!(load("absent.pt"), Err(EvalError::NoTorchScript { .. })));
        // Another stand-in gives one number for each frame.
        let said = load("i3d_other.pt").unwrap().features(&clip()).unwrap_err().to_string();
        assert!(said.contains("gives [1, 3, 2] for one clip") && said.contains("[1, D]"), "{said}");
        let floats = clip().to_kind(Kind::Float);
        assert!(matches!(load("i3d_stub.pt").unwrap().features(&floats), Err(EvalError::Nn(_))));
    }
}
