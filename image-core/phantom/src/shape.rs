//! Convex solids and tubes that can say which part of a voxel row lies inside them.
//!
//! All coordinates are world millimeters `[x, y, z]`, RAS+. Only `+ − × ÷ √` are used: those are exact to the last bit on
//! every platform, sines are not.

/// World position or direction `[x, y, z]` in mm.
pub(crate) type Point = [f64; 3];

pub(crate) fn add(a: Point, b: Point) -> Point {
    std::array::from_fn(|i| a[i] + b[i])
}

pub(crate) fn sub(a: Point, b: Point) -> Point {
    std::array::from_fn(|i| a[i] - b[i])
}

pub(crate) fn scale(a: Point, factor: f64) -> Point {
    a.map(|v| v * factor)
}

pub(crate) fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Point, b: Point) -> Point {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

fn unit(a: Point) -> Point {
    scale(a, 1.0 / dot(a, a).sqrt())
}

/// Three orthonormal directions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame(pub(crate) [Point; 3]);

impl Frame {
    /// Along the world's axes.
    pub(crate) const WORLD: Frame = Frame([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);

    /// The third direction along `up`, the first as near to `side` as that allows.
    pub(crate) fn new(side: Point, up: Point) -> Frame {
        let third = unit(up);
        let second = unit(cross(third, side));
        Frame([cross(second, third), second, third])
    }

    /// The world position of `local`, seen from `origin`.
    pub(crate) fn place(&self, origin: Point, local: Point) -> Point {
        (0..3).fold(origin, |p, k| add(p, scale(self.0[k], local[k])))
    }
}

/// What bounds a [`Solid`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Round in all three directions.
    Ellipsoid,
    /// Round in the first two, flat in the third.
    Cylinder,
    /// Flat in all three.
    Box,
}

/// An ellipsoid, elliptic cylinder or box.
#[derive(Debug, Clone)]
pub(crate) struct Solid {
    pub(crate) form: Form,
    pub(crate) center: Point,
    pub(crate) frame: Frame,
    /// Half extent along each direction of `frame`, mm.
    pub(crate) half: [f64; 3],
}

/// All points within `radius` of the line from `a` to `b`.
#[derive(Debug, Clone)]
pub(crate) struct Capsule {
    pub(crate) a: Point,
    pub(crate) b: Point,
    pub(crate) radius: f64,
}

/// An upright column with an elliptic section whose half axes follow the height.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Constant, linear and quadratic term in `z / 150 mm`, held constant beyond ±1.3.
    pub(crate) half_x: [f64; 3],
    /// Likewise.
    pub(crate) half_y: [f64; 3],
    /// Position of the axis along x and y.
    pub(crate) center: [f64; 2],
}

/// A convex piece of a structure.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Solid(Solid),
    Capsule(Capsule),
    Column(Column),
}

/// A closed range of world coordinates.
pub(crate) type Interval = (f64, f64);

fn intersect(a: Interval, b: Interval) -> Option<Interval> {
    let both = (a.0.max(b.0), a.1.min(b.1));
    (both.0 <= both.1).then_some(both)
}

fn hull(a: Option<Interval>, b: Option<Interval>) -> Option<Interval> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (one, other) => one.or(other),
    }
}

const EVERYWHERE: Interval = (f64::NEG_INFINITY, f64::INFINITY);

/// Where `quadratic · x² + 2 · linear · x + constant ≤ 0`, for `quadratic ≥ 0`.
fn below_zero(quadratic: f64, linear: f64, constant: f64) -> Option<Interval> {
    if quadratic < 1e-12 {
        return (constant <= 0.0).then_some(EVERYWHERE);
    }
    let discriminant = linear * linear - quadratic * constant;
    (discriminant >= 0.0).then(|| {
        let root = discriminant.sqrt();
        ((-linear - root) / quadratic, (-linear + root) / quadratic)
    })
}

/// Where `low ≤ slope · x + offset ≤ high`.
fn between(slope: f64, offset: f64, low: f64, high: f64) -> Option<Interval> {
    if slope.abs() < 1e-12 {
        return (low <= offset && offset <= high).then_some(EVERYWHERE);
    }
    let (p, q) = ((low - offset) / slope, (high - offset) / slope);
    Some((p.min(q), p.max(q)))
}

impl Solid {
    fn row(&self, y: f64, z: f64) -> Option<Interval> {
        let n_round = match self.form {
            Form::Ellipsoid => 3,
            Form::Cylinder => 2,
            Form::Box => 0,
        };
        let start = sub([0.0, y, z], self.center);
        let lines: [(f64, f64); 3] = std::array::from_fn(|k| {
            (
                self.frame.0[k][0] / self.half[k],
                dot(self.frame.0[k], start) / self.half[k],
            )
        });
        let (mut quadratic, mut linear, mut constant) = (0.0, 0.0, -1.0);
        for (slope, offset) in &lines[..n_round] {
            quadratic += slope * slope;
            linear += slope * offset;
            constant += offset * offset;
        }
        let mut inside = below_zero(quadratic, linear, constant)?;
        for &(slope, offset) in &lines[n_round..] {
            inside = intersect(inside, between(slope, offset, -1.0, 1.0)?)?;
        }
        Some(inside)
    }

    /// Half extent along the world's `axis`; for forms with flat sides that of the enclosing box.
    fn reach(&self, axis: usize) -> f64 {
        let parts: [f64; 3] = std::array::from_fn(|k| (self.frame.0[k][axis] * self.half[k]).abs());
        match self.form {
            Form::Ellipsoid => dot(parts, parts).sqrt(),
            Form::Cylinder | Form::Box => parts.iter().sum(),
        }
    }
}

impl Capsule {
    fn row(&self, y: f64, z: f64) -> Option<Interval> {
        let ball = |center: Point| {
            let w = sub([0.0, y, z], center);
            below_zero(1.0, w[0], dot(w, w) - self.radius * self.radius)
        };
        let ends = hull(ball(self.a), ball(self.b));
        let along = sub(self.b, self.a);
        let length = dot(along, along).sqrt();
        if length < 1e-9 {
            return ends;
        }
        let u = scale(along, 1.0 / length);
        let w = sub([0.0, y, z], self.a);
        let axial = dot(w, u);
        let barrel = below_zero(
            1.0 - u[0] * u[0],
            w[0] - axial * u[0],
            dot(w, w) - axial * axial - self.radius * self.radius,
        )
        .and_then(|round| intersect(round, between(u[0], axial, 0.0, length)?));
        hull(ends, barrel)
    }
}

impl Column {
    fn half_axes(&self, z: f64) -> (f64, f64) {
        let t = (z / 150.0).clamp(-1.3, 1.3);
        let at = |c: [f64; 3]| c[0] + t * (c[1] + t * c[2]);
        (at(self.half_x), at(self.half_y))
    }

    fn row(&self, y: f64, z: f64) -> Option<Interval> {
        let (half_x, half_y) = self.half_axes(z);
        let v = (y - self.center[1]) / half_y;
        let rest = 1.0 - v * v;
        (rest >= 0.0).then(|| {
            let reach = half_x * rest.sqrt();
            (self.center[0] - reach, self.center[0] + reach)
        })
    }

    /// The same column with its surface moved inwards.
    pub(crate) fn inset(&self, mm: f64) -> Column {
        let mut smaller = self.clone();
        smaller.half_x[0] -= mm;
        smaller.half_y[0] -= mm;
        smaller
    }

    /// The point of the surface at height `z` in the direction `(x, y)` from the axis.
    pub(crate) fn surface(&self, direction: [f64; 2], z: f64) -> Point {
        let (half_x, half_y) = self.half_axes(z);
        let (u, v) = (direction[0] / half_x, direction[1] / half_y);
        let reach = 1.0 / (u * u + v * v).sqrt();
        [
            self.center[0] + direction[0] * reach,
            self.center[1] + direction[1] * reach,
            z,
        ]
    }
}

impl Shape {
    /// The part inside of the row of points `(x, y, z)` with any x; one piece, as all shapes are convex.
    pub(crate) fn row(&self, y: f64, z: f64) -> Option<Interval> {
        match self {
            Shape::Solid(solid) => solid.row(y, z),
            Shape::Capsule(capsule) => capsule.row(y, z),
            Shape::Column(column) => column.row(y, z),
        }
    }

    /// Range along the world's y (1) or z (2) axis that holds the shape.
    pub(crate) fn bounds(&self, axis: usize) -> Interval {
        match self {
            Shape::Solid(s) => (s.center[axis] - s.reach(axis), s.center[axis] + s.reach(axis)),
            Shape::Capsule(c) => (
                c.a[axis].min(c.b[axis]) - c.radius,
                c.a[axis].max(c.b[axis]) + c.radius,
            ),
            Shape::Column(_) => EVERYWHERE,
        }
    }
}

pub(crate) fn ellipsoid(center: Point, half: [f64; 3]) -> Shape {
    tilted_ellipsoid(center, Frame::WORLD, half)
}

pub(crate) fn tilted_ellipsoid(center: Point, frame: Frame, half: [f64; 3]) -> Shape {
    Shape::Solid(Solid {
        form: Form::Ellipsoid,
        center,
        frame,
        half,
    })
}

/// A tube through `points`, its radius going evenly from the first to the second of `radius`.
///
/// Source: uniform Catmull-Rom spline; Catmull and Rom, "A class of local interpolating splines", 1974.
pub(crate) fn tube(points: &[Point], radius: [f64; 2]) -> Vec<Shape> {
    const PIECES: usize = 8;
    let n_spans = points.len() - 1;
    let at = |i: isize| points[i.clamp(0, n_spans as isize) as usize];
    let position = |step: usize| {
        let (span, t) = (step / PIECES, (step % PIECES) as f64 / PIECES as f64);
        let i = span as isize;
        let p = [at(i - 1), at(i), at(i + 1), at(i + 2)];
        std::array::from_fn(|c| {
            let [a, b, d, e] = [p[0][c], p[1][c], p[2][c], p[3][c]];
            0.5 * (2.0 * b
                + t * ((d - a) + t * ((2.0 * a - 5.0 * b + 4.0 * d - e) + t * (3.0 * b - a - 3.0 * d + e))))
        })
    };
    let n_steps = n_spans * PIECES;
    (0..n_steps)
        .map(|step| {
            let t = (step as f64 + 0.5) / n_steps as f64;
            let radius = radius[0] + t * (radius[1] - radius[0]);
            Shape::Capsule(Capsule {
                a: position(step),
                b: position(step + 1),
                radius,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares the row interval with a point test at many places.
    fn check(shape: &Shape, inside: impl Fn(Point) -> bool) {
        let mut n_inside = 0;
        for zi in -24..=24 {
            for yi in -24..=24 {
                let (y, z) = (f64::from(yi) + 0.01, f64::from(zi) + 0.02);
                let row = shape.row(y, z);
                for xi in -24..=24 {
                    let x = f64::from(xi) + 0.03;
                    let expected = inside([x, y, z]);
                    n_inside += usize::from(expected);
                    assert_eq!(
                        row.is_some_and(|(low, high)| low <= x && x <= high),
                        expected,
                        "{x} {y} {z}"
                    );
                    for (axis, v) in [(1, y), (2, z)] {
                        let (low, high) = shape.bounds(axis);
                        assert!(
                            !expected || (low <= v && v <= high),
                            "outside its bounds: {x} {y} {z}"
                        );
                    }
                }
            }
        }
        assert!(n_inside > 100, "{n_inside}");
    }

    #[test]
    fn rows_of_tilted_solids_agree_with_the_point_test() {
        let frame = Frame::new([1.0, 0.3, -0.2], [0.2, -0.4, 1.0]);
        let (center, half) = ([1.5, -2.0, 3.0], [9.0, 6.0, 14.0]);
        for form in [Form::Ellipsoid, Form::Cylinder, Form::Box] {
            check(
                &Shape::Solid(Solid {
                    form,
                    center,
                    frame,
                    half,
                }),
                |p| {
                    let u: [f64; 3] = std::array::from_fn(|k| dot(frame.0[k], sub(p, center)) / half[k]);
                    match form {
                        Form::Ellipsoid => dot(u, u) <= 1.0,
                        Form::Cylinder => u[0] * u[0] + u[1] * u[1] <= 1.0 && u[2].abs() <= 1.0,
                        Form::Box => u.iter().all(|v| v.abs() <= 1.0),
                    }
                },
            );
        }
    }

    #[test]
    fn rows_of_capsules_agree_with_the_distance_to_the_line() {
        for (a, b) in [
            ([-9.0, -5.0, -8.0], [7.0, 6.0, 9.0]),
            ([0.0; 3], [0.0; 3]),
            ([-8.0, 1.0, 2.0], [8.0, 1.0, 2.0]),
        ] {
            check(&Shape::Capsule(Capsule { a, b, radius: 5.0 }), |p| {
                let along = sub(b, a);
                let t = (dot(sub(p, a), along) / dot(along, along).max(1e-9)).clamp(0.0, 1.0);
                let off = sub(p, add(a, scale(along, t)));
                dot(off, off) <= 25.0
            });
        }
    }

    #[test]
    fn frames_are_orthonormal() {
        let frame = Frame::new([1.0, 0.2, 0.1], [0.3, -0.2, 1.0]);
        for i in 0..3 {
            for j in 0..3 {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((dot(frame.0[i], frame.0[j]) - expected).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn tubes_pass_through_their_points() {
        let points = [[0.0, 0.0, 0.0], [10.0, 5.0, 2.0], [20.0, -5.0, 9.0]];
        let pieces = tube(&points, [1.0, 2.0]);
        for p in points {
            let inside = |s: &Shape| {
                s.row(p[1], p[2])
                    .is_some_and(|(low, high)| low <= p[0] && p[0] <= high)
            };
            assert!(pieces.iter().any(inside), "{p:?}");
        }
    }
}
