//! Instance norm, sums, and activations.

/// `[2, channel]`: what a value, `[voxel, channel]`, is multiplied by and what is added then. Sums in f64.
pub(super) fn scale_and_shift(x: &[f32], gamma: &[f32], beta: &[f32], eps: f32) -> Vec<f32> {
    let n_channels = gamma.len();
    let n = (x.len() / n_channels) as f64;
    let mut both = vec![0.0; 2 * n_channels];
    for c in 0..n_channels {
        let values = || {
            x.iter()
                .skip(c)
                .step_by(n_channels)
                .map(|value| f64::from(*value))
        };
        let mean = values().sum::<f64>() / n;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
        let scale = f64::from(gamma[c]) / (variance + f64::from(eps)).sqrt();
        both[c] = scale as f32;
        both[n_channels + c] = (f64::from(beta[c]) - mean * scale) as f32;
    }
    both
}

/// `slope(scale(x) + scale(other))`.
pub(super) fn activate(
    x: &[f32],
    scale: Option<&[f32]>,
    other: Option<(&[f32], Option<&[f32]>)>,
    slope: f32,
    n_channels: usize,
) -> Vec<f32> {
    let scaled = |values: &[f32], scale: Option<&[f32]>, i: usize| {
        let c = i % n_channels;
        scale.map_or(values[i], |scale| values[i] * scale[c] + scale[n_channels + c])
    };
    let value = |i| {
        let sum = scaled(x, scale, i) + other.map_or(0.0, |(other, scale)| scaled(other, scale, i));
        if sum < 0.0 { sum * slope } else { sum }
    };
    (0..x.len()).map(value).collect()
}
