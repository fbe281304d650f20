//! A counter-based generator: the same on every platform, cheap to start at any plane.

/// SplitMix64.
///
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; constants of its
/// reference implementation by Vigna.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    /// A stream of its own for every pair of `seed` and `stream`.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = SplitMix64(seed ^ 0x6e65_7068_7269_7465);
        let mixed = rng.next_u64();
        SplitMix64(mixed.wrapping_add(stream.wrapping_mul(0xd134_2543_de82_ef95)))
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `[low, high)`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        low + unit * (high - low)
    }

    /// Uniform in `[-reach, reach)`.
    pub(crate) fn jitter(&mut self, reach: f64) -> f64 {
        self.between(-reach, reach)
    }

    /// Nearly normal, mean 0, standard deviation 1, never beyond ±3.47: the sum of the four 16-bit parts of one draw
    /// (Irwin-Hall), which needs no logarithm and so no platform's mathematics library.
    pub(crate) fn normal(&mut self) -> f32 {
        let bits = self.next_u64();
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        // mean 4 · 65535 / 2, variance 4 · (65536² − 1) / 12
        (sum as f32 - 131_070.0) * (1.0 / 37_837.227)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_a_unit_normal() {
        let mut rng = SplitMix64::new(1, 2);
        let n = 200_000;
        let draws: Vec<f64> = (0..n).map(|_| f64::from(rng.normal())).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((variance - 1.0).abs() < 0.01, "{variance}");
    }

    #[test]
    fn streams_differ() {
        let first: Vec<u64> = (0..64)
            .map(|stream| SplitMix64::new(5, stream).next_u64())
            .collect();
        let mut unique = first.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), first.len());
        assert_ne!(SplitMix64::new(5, 0).next_u64(), SplitMix64::new(6, 0).next_u64());
    }
}
