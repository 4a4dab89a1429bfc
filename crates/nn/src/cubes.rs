use spec::{Grid, Patch};
use tch::{Kind, Tensor};

use crate::{During, NnError, expect_kind, expect_shape};

/// ImageNet statistics of red, green and blue on the scale 0..1, by which the MAE family normalises its input.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// How the pixels of a cube become a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelNorm {
    /// Each colour of each cube brought to mean 0 and variance 1, from the scale 0..1: VideoMAE's form, with the unbiased
    /// variance and `1e-6` added to the deviation.
    Colours,
    /// All values of a cube, its colours together, brought to mean 0 and variance 1, from the values that the ViT sees: the
    /// form of the MAE of images (arXiv:2111.06377), with the unbiased variance and `1e-6` added to it.
    Joint,
    /// As they are, on the scale 0..1: VideoMAE without normalisation.
    None,
}

/// A batch of clips cut into cubes without copying a pixel; only the cubes that are asked for become floats. At 128
/// frames and 10 % visible tokens this is what keeps the input itself from being the largest tensor.
#[derive(Debug)]
pub struct Cubes {
    /// `[B, T', H', W', t, h, w, 3]` u8, a view of the clip.
    view: Tensor,
    grid: Grid,
    patch: Patch,
}

impl Cubes {
    /// * `clip_bthwc` - pixels `[B, T, H, W, 3]` u8, 0..=255
    ///
    /// # Errors
    /// [`NnError::Shape`] when the clip is not `grid` times `patch`, [`NnError::Kind`] when it is not u8.
    pub fn new(clip_bthwc: &Tensor, grid: Grid, patch: Patch) -> Result<Self, NnError> {
        expect_kind("clip", clip_bthwc, Kind::Uint8)?;
        let want = [-1, grid.t * patch.t, grid.h * patch.h, grid.w * patch.w, 3];
        expect_shape("clip", clip_bthwc, &want)?;
        let b = clip_bthwc.size()[0];
        let view = clip_bthwc
            .f_reshape([b, grid.t, patch.t, grid.h, patch.h, grid.w, patch.w, 3])
            .during("cutting a clip into cubes")?
            .permute([0, 1, 3, 5, 2, 4, 6, 7]);
        Ok(Cubes { view, grid, patch })
    }

    /// Number of clips.
    pub fn num_clips(&self) -> i64 {
        self.view.size()[0]
    }

    /// Values in one cube: pixels times colours.
    pub fn num_values(&self) -> i64 {
        self.patch.num_pixels() * 3
    }

    /// Tokens on each axis.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// Where the pixels lie.
    pub fn device(&self) -> tch::Device {
        self.view.device()
    }

    /// The cubes of the tokens `index_bi` as pixels on the scale 0..1: `[B, I, pixels, 3]`, pixels in (t, h, w) order.
    ///
    /// * `index_bi` - token indices `[B, I]` int64 in `0..N`
    ///
    /// # Errors
    /// [`NnError::Shape`]; [`NnError::Torch`] for an index out of range; [`NnError::OutOfMemory`].
    pub fn pixels(&self, index_bi: &Tensor) -> Result<Tensor, NnError> {
        let b = self.num_clips();
        expect_shape("token index", index_bi, &[b, -1])?;
        let clip_b1 = Tensor::arange(b, (Kind::Int64, index_bi.device())).unsqueeze(1);
        let axis = |size: i64, stride: i64| index_bi.divide_scalar_mode(stride, "floor").remainder(size);
        let (h, w) = (self.grid.h, self.grid.w);
        let places = [Some(clip_b1), Some(axis(i64::MAX, h * w)), Some(axis(h, w)), Some(axis(w, 1))];
        let cubes = self.view.f_index(&places).during("gathering cubes")?;
        let flat = cubes.f_reshape([b, index_bi.size()[1], self.patch.num_pixels(), 3]).during("gathering cubes")?;
        Ok(flat.to_kind(Kind::Float) / 255.0)
    }

    /// The same cubes normalised for the ViT: `[B, I, pixels * 3]`.
    ///
    /// # Errors
    /// As [`Cubes::pixels`].
    pub fn normalised(&self, index_bi: &Tensor) -> Result<Tensor, NnError> {
        let on_device = |values: [f32; 3]| Tensor::from_slice(&values).to_device(self.device());
        let x = (self.pixels(index_bi)? - on_device(MEAN)) / on_device(STD);
        Ok(x.flatten(2, 3))
    }

    /// The same cubes as regression targets, `[B, I, pixels * 3]`.
    ///
    /// # Errors
    /// As [`Cubes::pixels`].
    pub fn targets(&self, index_bi: &Tensor, norm: PixelNorm) -> Result<Tensor, NnError> {
        match norm {
            PixelNorm::Colours => {
                let x = self.pixels(index_bi)?;
                let (mean, var) = moments(&x);
                Ok(((x - mean) / (var.sqrt() + 1e-6)).flatten(2, 3))
            }
            PixelNorm::Joint => {
                let x = self.normalised(index_bi)?;
                let (mean, var) = moments(&x);
                Ok((x - mean) / (var + 1e-6).sqrt())
            }
            PixelNorm::None => Ok(self.pixels(index_bi)?.flatten(2, 3)),
        }
    }

    /// The clip with predictions in the place of some cubes, `[B, T, H, W, 3]` u8: what [`Cubes::targets`] normalised is turned
    /// back by each cube's own mean and deviation, as the MAE family shows its predictions.
    ///
    /// * `index_bi` - which cubes, `[B, I]` int64
    /// * `values_biv` - what was predicted of them, `[B, I, pixels * 3]`
    ///
    /// # Errors
    /// As [`Cubes::pixels`].
    pub fn redrawn(&self, index_bi: &Tensor, values_biv: &Tensor, norm: PixelNorm) -> Result<Tensor, NnError> {
        let (b, num) = (self.num_clips(), index_bi.size()[1]);
        expect_shape("predicted cubes", values_biv, &[b, num, self.num_values()])?;
        let colours = [b, num, self.patch.num_pixels(), 3];
        let on_device = |values: [f32; 3]| Tensor::from_slice(&values).to_device(self.device());
        let pixels = match norm {
            PixelNorm::Colours => {
                let (mean, var) = moments(&self.pixels(index_bi)?);
                values_biv.view(colours) * (var.sqrt() + 1e-6) + mean
            }
            PixelNorm::Joint => {
                let (mean, var) = moments(&self.normalised(index_bi)?);
                (values_biv * (var + 1e-6).sqrt() + mean).view(colours) * on_device(STD) + on_device(MEAN)
            }
            PixelNorm::None => values_biv.view(colours),
        };
        let bytes = (pixels * 255.0).round().clamp(0.0, 255.0).to_kind(Kind::Uint8).flatten(2, 3);
        let (Grid { t, h, w }, p) = (self.grid, self.patch);
        let cubes = self.view.f_reshape([b, self.grid.num_tokens(), self.num_values()]).during("redrawing cubes")?;
        let index = index_bi.unsqueeze(-1).expand_as(&bytes);
        let cubes = cubes.f_scatter(1, &index, &bytes).during("redrawing cubes")?;
        let clip = cubes.view([b, t, h, w, p.t, p.h, p.w, 3].as_slice()).permute([0, 1, 4, 2, 5, 3, 6, 7]);
        clip.f_reshape([b, t * p.t, h * p.h, w * p.w, 3]).during("redrawing cubes")
    }
}

/// Mean and variance over axis 2: the pixels of `[B, I, pixels, 3]`, or all values of `[B, I, pixels * 3]`.
fn moments(x: &Tensor) -> (Tensor, Tensor) {
    let axis = [2i64].as_slice();
    (x.mean_dim(axis, true, Kind::Float), x.var_dim(axis, true, true))
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    const GRID: Grid = Grid { t: 2, h: 3, w: 2 };
    const PATCH: Patch = Patch { t: 2, h: 2, w: 4 };

    /// Every pixel holds its own number modulo 251, so that a misplaced one shows.
    fn clip() -> Tensor {
        let n = 2 * 4 * 6 * 8 * 3;
        Tensor::arange(n, (Kind::Int64, Device::Cpu)).remainder(251).to_kind(Kind::Uint8).view([2, 4, 6, 8, 3])
    }

    #[test]
    fn each_cube_holds_the_pixels_under_its_token() {
        let clip = clip();
        let cubes = Cubes::new(&clip, GRID, PATCH).unwrap();
        let all = Tensor::arange(GRID.num_tokens(), (Kind::Int64, Device::Cpu)).expand([2, -1], false);
        let got = cubes.pixels(&all).unwrap();
        for b in 0..2 {
            for index in 0..GRID.num_tokens() {
                let (t, h, w) = GRID.place(index);
                let mut pixel = 0;
                for dt in 0..2 {
                    for dh in 0..2 {
                        for dw in 0..4 {
                            for c in 0..3 {
                                let want = clip.int64_value(&[b, t * 2 + dt, h * 2 + dh, w * 4 + dw, c]);
                                let got = got.double_value(&[b, index, pixel, c]) * 255.0;
                                assert!((got - want as f64).abs() < 1e-4);
                            }
                            pixel += 1;
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn chosen_cubes_are_those_of_all_cubes() {
        let cubes = Cubes::new(&clip(), GRID, PATCH).unwrap();
        let all = Tensor::arange(GRID.num_tokens(), (Kind::Int64, Device::Cpu)).expand([2, -1], false);
        let some = Tensor::from_slice2(&[[3i64, 0, 11], [5, 7, 2]]);
        let (all, got) = (cubes.normalised(&all).unwrap(), cubes.normalised(&some).unwrap());
        for (b, places) in [[3i64, 0, 11], [5, 7, 2]].iter().enumerate() {
            for (i, place) in places.iter().enumerate() {
                assert!(got.get(b as i64).get(i as i64).equal(&all.get(b as i64).get(*place)));
            }
        }
    }

    #[test]
    fn a_target_is_normalised_per_cube_and_colour() {
        let cubes = Cubes::new(&clip(), GRID, PATCH).unwrap();
        let index = Tensor::from_slice2(&[[4i64], [9]]);
        let (pixels, targets) = (cubes.pixels(&index).unwrap(), cubes.targets(&index, PixelNorm::Colours).unwrap());
        for b in 0..2 {
            for c in 0..3 {
                let x: Vec<f64> = (0..16).map(|i| pixels.double_value(&[b, 0, i, c])).collect();
                let mean = x.iter().sum::<f64>() / 16.0;
                let var = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 15.0;
                for i in 0..16 {
                    let want = (x[i as usize] - mean) / (var.sqrt() + 1e-6);
                    assert!((targets.double_value(&[b, 0, i * 3 + c]) - want).abs() < 1e-4);
                }
            }
        }
    }

    #[test]
    fn a_joint_target_is_normalised_over_all_colours_of_the_cube() {
        // One cube of two pixels: red is 0 and 51 of 255, green 102 and blue 204 in both.
        let patch = Patch { t: 1, h: 1, w: 2 };
        let clip = Tensor::from_slice(&[0u8, 102, 204, 51, 102, 204]).view([1, 1, 1, 2, 3]);
        let cubes = Cubes::new(&clip, Grid { t: 1, h: 1, w: 1 }, patch).unwrap();
        let index = Tensor::from_slice2(&[[0i64]]);
        // On the scale 0..1 by ImageNet's statistics: (0 - 0.485) / 0.229, (0.4 - 0.456) / 0.224, (0.8 - 0.406) / 0.225, and
        // (0.2 - 0.485) / 0.229.
        let x = [-2.117_904, -0.25, 1.751_111, -1.244_541, -0.25, 1.751_111];
        let mean: f64 = x.iter().sum::<f64>() / 6.0;
        let var = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 5.0;
        let got = cubes.targets(&index, PixelNorm::Joint).unwrap();
        for (i, v) in x.iter().enumerate() {
            let want = (v - mean) / (var + 1e-6).sqrt();
            let got = got.double_value(&[0, 0, i as i64]);
            assert!((got - want).abs() < 1e-5, "{i}: {got} instead of {want}");
        }
        let raw = Vec::<f32>::try_from(cubes.targets(&index, PixelNorm::None).unwrap().flatten(0, -1)).unwrap();
        assert_eq!(raw, [0.0, 0.4, 0.8, 0.2, 0.4, 0.8]);
    }

    #[test]
    fn a_joint_target_of_one_colour_is_flat_and_finite() {
        let clip = Tensor::full([1, 4, 6, 8, 3], 128, (Kind::Uint8, Device::Cpu));
        let cubes = Cubes::new(&clip, GRID, PATCH).unwrap();
        let index = Tensor::from_slice2(&[[4i64]]);
        // A grey cube has no variance in any colour; its three colours differ by ImageNet's statistics alone.
        let per_colour = cubes.targets(&index, PixelNorm::Colours).unwrap();
        assert!(per_colour.abs().max().double_value(&[]) < 1e-6);
        let joint = cubes.targets(&index, PixelNorm::Joint).unwrap();
        assert!(joint.isfinite().all().int64_value(&[]) == 1);
    }

    #[test]
    fn targets_redraw_the_clip_and_other_values_their_own_cubes_alone() {
        let clip = clip();
        let cubes = Cubes::new(&clip, GRID, PATCH).unwrap();
        let some = Tensor::from_slice2(&[[3i64, 0, 11], [5, 7, 2]]);
        for norm in [PixelNorm::Colours, PixelNorm::Joint, PixelNorm::None] {
            let targets = cubes.targets(&some, norm).unwrap();
            assert!(cubes.redrawn(&some, &targets, norm).unwrap().equal(&clip), "{norm:?}");
            // A cube of 0 everywhere is flat in each colour, and black where nothing was normalised.
            let flat = cubes.redrawn(&some, &targets.zeros_like(), norm).unwrap();
            let drawn = Cubes::new(&flat, GRID, PATCH).unwrap();
            let (_, var) = moments(&drawn.pixels(&some).unwrap());
            assert_eq!(var.max().double_value(&[]), 0.0, "{norm:?}");
            let others = Tensor::from_slice2(&[[1i64, 4, 10], [6, 0, 11]]);
            assert!(drawn.pixels(&others).unwrap().equal(&cubes.pixels(&others).unwrap()));
        }
    }

    #[test]
    fn a_clip_of_another_size_is_refused() {
        let said = Cubes::new(&clip(), Grid { t: 3, ..GRID }, PATCH).unwrap_err().to_string();
        assert_eq!(said, "clip has shape [2, 4, 6, 8, 3], expected [-1, 6, 6, 8, 3] (-1: any size)");
    }
}
