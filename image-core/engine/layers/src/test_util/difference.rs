//! How far logits are from the reference.

/// Differences to the reference, in standard deviations of the reference.
#[derive(Debug, Clone, Copy)]
pub struct Difference {
    pub rms: f64,
    pub max: f64,
}

pub fn difference<T: Copy + Into<f64>>(reference: &[f64], found: &[T]) -> Difference {
    assert_eq!(reference.len(), found.len());
    let n = reference.len() as f64;
    let mean = reference.iter().sum::<f64>() / n;
    let std = (reference.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    // Of a network without a living activation all logits are its last bias: their size stands for their spread.
    let is_constant = std <= 1e-12 * mean.abs();
    let std = if is_constant {
        mean.abs().max(f64::MIN_POSITIVE)
    } else {
        std
    };
    let differences = reference
        .iter()
        .zip(found)
        .map(|(a, &b)| (a - b.into()).abs() / std);
    let squares: f64 = differences.clone().map(|v| v * v).sum();
    // NaN is larger than anything.
    let max = differences.fold(0.0, |max, v| if v <= max { max } else { v });
    Difference {
        rms: (squares / n).sqrt(),
        max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_that_are_all_the_same_are_compared_by_their_size() {
        let Difference { rms, max } = difference(&[0.5, 0.5], &[0.5f32, 0.5]);
        assert_eq!((rms, max), (0.0, 0.0));
        assert_eq!(difference(&[0.5, 0.5], &[0.5f32, 0.75]).max, 0.5);
        assert!(difference(&[0.5, 0.5], &[0.5, f64::NAN]).max.is_nan());
        assert!(difference(&[0.0, 0.0], &[0.0f32, 1e-6]).max > 1.0);
    }
}
