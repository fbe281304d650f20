//! Random weights: what a network computes does not matter here, but its values must stay as large as those of a trained one.

use std::collections::HashMap;
use std::error::Error;

use nephrite_nnunet_network::{Architecture, WeightSource, expected_tensors};

/// Numbers that are random enough, and the same every time.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// Uniform with a mean of 0 and this standard deviation.
    pub(crate) fn next(&mut self, std: f32) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let unit = (self.0 >> 40) as f32 / (1u64 << 24) as f32; // 0 to 1
        (2.0 * unit - 1.0) * std * 3f32.sqrt()
    }
}

/// All tensors of a network.
#[derive(Debug)]
pub(crate) struct RandomWeights(HashMap<String, Tensor>);

#[derive(Debug)]
struct Tensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl RandomWeights {
    pub(crate) fn new(architecture: &Architecture) -> Self {
        let mut random = Random::new(1);
        let tensors = expected_tensors(architecture, false).into_iter();
        let tensors = tensors.map(|(name, shape)| {
            let values = values(&name, &shape, &mut random);
            (name, Tensor { shape, values })
        });
        RandomWeights(tensors.collect())
    }
}

/// Kernels keep the variance of what they are applied to; norms are near 1, biases near 0.
fn values(name: &str, shape: &[usize], random: &mut Random) -> Vec<f32> {
    let n: usize = shape.iter().product();
    let (mean, std) = match shape {
        [_] if name.ends_with(".weight") => (1.0, 0.1),
        [_] => (0.0, 0.1),
        // `[in, out, kernel…]`: each output voxel has one tap
        [n_in, ..] if name.contains(".transpconvs.") => (0.0, (1.0 / *n_in as f32).sqrt()),
        [_, terms @ ..] => (0.0, (2.0 / terms.iter().product::<usize>() as f32).sqrt()),
        [] => (0.0, 1.0),
    };
    (0..n).map(|_| mean + random.next(std)).collect()
}

impl WeightSource for RandomWeights {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.get(name).map(|tensor| tensor.shape.clone())
    }

    fn read_f32(&mut self, name: &str) -> Result<Vec<f32>, Box<dyn Error + Send + Sync>> {
        let tensor = self.0.get(name).ok_or_else(|| format!("there is no {name}"))?;
        Ok(tensor.values.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::{Name, architecture};

    #[test]
    fn kernels_keep_the_variance_of_their_input() {
        let small = architecture(Name::Small, 16).unwrap();
        let weights = RandomWeights::new(&small);
        let of = |name: &str| {
            let values = &weights.0[name].values;
            (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt()
        };
        let found = of("encoder.stages.1.0.convs.1.conv.weight");
        let expected = (2.0f32 / (16.0 * 27.0)).sqrt();
        assert!((found / expected - 1.0).abs() < 0.05, "{found} of {expected}");
        let found = of("decoder.transpconvs.0.weight");
        assert!((found * 32f32.sqrt() - 1.0).abs() < 0.05, "{found}");
    }
}
