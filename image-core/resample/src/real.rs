//! The two floating-point types that a resize runs in.

use nephrite_types::memory::Zeroable;
use num_traits::Float;

/// The arithmetic that a resize runs in: f32 (fast) or f64 (reference).
pub trait Real: Float + Zeroable + Send + Sync + std::fmt::Debug + 'static {
    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// The value as f64, exact.
    fn as_f64(self) -> f64;
}

impl Real for f32 {
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn as_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn as_f64(self) -> f64 {
        self
    }
}
