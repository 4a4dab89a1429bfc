use super::plane::Plane;

/// Pixels on each side of a window's middle.
const RADIUS: usize = 3;
/// Warps and steps on each level.
const ITERATIONS: usize = 4;
/// A level is at least this wide and high: a window and a little more.
const MIN_SIDE: usize = 8;
/// Added to the squared gradients of a window, (grey levels per pixel)^2: textures far below 1 grey level per pixel are
/// noise, which must not move anything.
const STIFFNESS: f32 = 1.0;
/// The longest step of one iteration, pixels of its level: beyond it the picture is not linear any more.
const MAX_STEP: f32 = 1.0;

/// A frame in smaller and smaller sizes, each half of the one before.
#[derive(Debug)]
pub(super) struct Pyramid {
    levels: Vec<Plane>,
}

impl Pyramid {
    pub(super) fn new(frame: Plane) -> Self {
        let mut levels = vec![frame];
        while let Some(last) = levels.last().filter(|last| last.width().min(last.height()) >= 2 * MIN_SIDE) {
            let half = last.shrunk(2);
            levels.push(half);
        }
        Pyramid { levels }
    }

    /// Flow from each pixel of this frame to where the other, of the same size, shows the same: to the right and down, in
    /// pixels.
    pub(super) fn flow_to(&self, other: &Pyramid) -> [Plane; 2] {
        let coarsest = &self.levels[self.levels.len() - 1];
        let mut flow = [0, 1].map(|_| Plane::new(coarsest.width(), coarsest.height(), |_, _| 0.0));
        for (first, second) in self.levels.iter().zip(&other.levels).rev() {
            if flow[0].width() != first.width() || flow[0].height() != first.height() {
                flow = flow.map(|axis| doubled(&axis, first));
            }
            let window = Window::new(first);
            for _ in 0..ITERATIONS {
                flow = window.solve(first, second, &flow);
            }
            flow = flow.map(|axis| axis.median());
        }
        flow
    }
}

/// A coarser level's flow on a level of twice its size.
fn doubled(axis: &Plane, level: &Plane) -> Plane {
    Plane::new(level.width(), level.height(), |x, y| 2.0 * axis.between((x as f32 - 0.5) / 2.0, (y as f32 - 0.5) / 2.0))
}

/// What least squares need of the first frame: its gradients, and the means of their products around each pixel.
struct Window {
    dx: Plane,
    dy: Plane,
    xx: Plane,
    xy: Plane,
    yy: Plane,
}

impl Window {
    fn new(level: &Plane) -> Self {
        let gradient = |right: isize, down: isize| {
            Plane::new(level.width(), level.height(), |x, y| {
                let (x, y) = (x as isize, y as isize);
                (level.at(x + right, y + down) - level.at(x - right, y - down)) / 2.0
            })
        };
        let (dx, dy) = (gradient(1, 0), gradient(0, 1));
        let (xx, xy, yy) = (means(&dx, &dx), means(&dx, &dy), means(&dy, &dy));
        Window { dx, dy, xx, xy, yy }
    }

    /// Flow after one more warp. Each pixel's brightness asks for `gradient . flow = its own flow's share + what is missing`,
    /// and the window's least squares are solved for the flow itself, not for a step from it: neighbours whose flows differ
    /// pull each other together.
    fn solve(&self, first: &Plane, second: &Plane, [flow_x, flow_y]: &[Plane; 2]) -> [Plane; 2] {
        let (width, height) = (first.width(), first.height());
        let asked = Plane::new(width, height, |x, y| {
            let i = y * width + x;
            let [u, v] = [flow_x.values()[i], flow_y.values()[i]];
            let missing = first.values()[i] - second.between(x as f32 + u, y as f32 + v);
            missing + self.dx.values()[i] * u + self.dy.values()[i] * v
        });
        let (x_asked, y_asked) = (means(&self.dx, &asked), means(&self.dy, &asked));
        let (x_around, y_around) = (flow_x.window_means(RADIUS), flow_y.window_means(RADIUS));
        let solved = |i: usize| {
            let (xx, xy, yy) = (self.xx.values()[i] + STIFFNESS, self.xy.values()[i], self.yy.values()[i] + STIFFNESS);
            let bx = x_asked.values()[i] + STIFFNESS * x_around.values()[i];
            let by = y_asked.values()[i] + STIFFNESS * y_around.values()[i];
            let determinant = xx * yy - xy * xy;
            [(yy * bx - xy * by) / determinant, (xx * by - xy * bx) / determinant]
        };
        let solved: Vec<[f32; 2]> = (0..width * height).map(solved).collect();
        let moved = |old: &Plane, axis: usize| {
            Plane::new(width, height, |x, y| {
                let i = y * width + x;
                old.values()[i] + (solved[i][axis] - old.values()[i]).clamp(-MAX_STEP, MAX_STEP)
            })
        };
        [moved(flow_x, 0), moved(flow_y, 1)]
    }
}

/// Mean of the product of two planes around each pixel.
fn means(a: &Plane, b: &Plane) -> Plane {
    let product = Plane::new(a.width(), a.height(), |x, y| {
        let i = y * a.width() + x;
        a.values()[i] * b.values()[i]
    });
    product.window_means(RADIUS)
}
