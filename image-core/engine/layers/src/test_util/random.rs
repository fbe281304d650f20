//! Numbers that look random and are the same everywhere.

/// A generator (SplitMix64).
///
/// Source: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Between 0 and 1.
    fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Near a normal distribution: the sum of twelve fractions.
    pub fn normal(&mut self) -> f32 {
        ((0..12).map(|_| self.fraction()).sum::<f64>() - 6.0) as f32
    }

    /// Of mean 0 and the standard deviation given.
    pub fn values(&mut self, n: usize, std: f32) -> Vec<f32> {
        (0..n).map(|_| self.normal() * std).collect()
    }

    /// Between two numbers.
    pub fn between(&mut self, low: f32, high: f32, n: usize) -> Vec<f32> {
        (0..n)
            .map(|_| low + (high - low) * self.fraction() as f32)
            .collect()
    }
}
