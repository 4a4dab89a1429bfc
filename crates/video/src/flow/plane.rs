/// One number per pixel.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Plane {
    pub(super) fn new(width: usize, height: usize, of: impl Fn(usize, usize) -> f32) -> Self {
        let values = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| of(x, y)).collect();
        Plane { width, height, values }
    }

    /// The brightness of a square frame (Rec. 601), `0..=255`, averaged over squares.
    pub(super) fn grey(rgb: &[u8], side: usize, square: usize) -> Self {
        let grey = |at: usize| {
            let [r, g, b] = [0, 1, 2].map(|colour| f32::from(rgb[at * 3 + colour]));
            0.299 * r + 0.587 * g + 0.114 * b
        };
        Plane::new(side, side, |x, y| grey(y * side + x)).shrunk(square)
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.height
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The value at a pixel; beyond the border that of the nearest pixel.
    pub(super) fn at(&self, x: isize, y: isize) -> f32 {
        let (x, y) = (x.clamp(0, self.width as isize - 1), y.clamp(0, self.height as isize - 1));
        self.values[y as usize * self.width + x as usize]
    }

    /// The value between pixels (bilinear).
    pub(super) fn between(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x.clamp(0.0, (self.width - 1) as f32), y.clamp(0.0, (self.height - 1) as f32));
        let (left, top) = (x as usize, y as usize);
        let (right, below) = ((left + 1).min(self.width - 1), (top + 1).min(self.height - 1));
        let (to_right, down) = (x - left as f32, y - top as f32);
        let at = |x: usize, y: usize| self.values[y * self.width + x];
        let upper = at(left, top) + (at(right, top) - at(left, top)) * to_right;
        let lower = at(left, below) + (at(right, below) - at(left, below)) * to_right;
        upper + (lower - upper) * down
    }

    /// The mean of each square of `factor` x `factor` pixels; what does not fill a square at the right and lower border is
    /// left out.
    pub(super) fn shrunk(&self, factor: usize) -> Self {
        let area = (factor * factor) as f32;
        Plane::new(self.width / factor, self.height / factor, |x, y| {
            let rows = (y * factor..(y + 1) * factor).map(|row| row * self.width + x * factor);
            rows.map(|first| self.values[first..first + factor].iter().sum::<f32>()).sum::<f32>() / area
        })
    }

    /// Each pixel's mean over a window of `2 radius + 1` pixels a side, less at the border.
    pub(super) fn window_means(&self, radius: usize) -> Self {
        self.row_means(radius).transposed().row_means(radius).transposed()
    }

    /// Each pixel's median of the 3 x 3 around it, the border repeated.
    pub(super) fn median(&self) -> Self {
        Plane::new(self.width, self.height, |x, y| {
            let mut around = [0.0; 9];
            for (i, value) in around.iter_mut().enumerate() {
                *value = self.at((x + i % 3) as isize - 1, (y + i / 3) as isize - 1);
            }
            *around.select_nth_unstable_by(4, f32::total_cmp).1
        })
    }

    fn row_means(&self, radius: usize) -> Self {
        let mut values = Vec::with_capacity(self.values.len());
        for row in self.values.chunks_exact(self.width) {
            // f64: what is added and taken away again leaves no trace.
            let mut sum: f64 = row.iter().take(radius).map(|v| f64::from(*v)).sum();
            for x in 0..self.width {
                sum += row.get(x + radius).map_or(0.0, |v| f64::from(*v));
                let (first, stop) = (x.saturating_sub(radius), (x + radius + 1).min(self.width));
                values.push((sum / (stop - first) as f64) as f32);
                sum -= if x >= radius { f64::from(row[x - radius]) } else { 0.0 };
            }
        }
        Plane { values, ..*self }
    }

    fn transposed(&self) -> Self {
        Plane::new(self.height, self.width, |x, y| self.values[x * self.width + y])
    }
}
