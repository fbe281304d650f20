//! Weights in the order in which kernels read them, with zeros where channels fill vectors.

use rayon::prelude::*;

use crate::channels::Channels;

/// `[out, in, tap]` to `[out, tap, in]`.
pub(crate) fn convolution(weight: &[f32], n_taps: usize, from: &Channels, to: &Channels) -> Vec<f32> {
    let n_in = from.n();
    let mut packed = vec![0.0; to.padded() * n_taps * from.padded()];
    let of_out = packed.par_chunks_exact_mut(n_taps * from.padded()).zip(rows(to));
    of_out.for_each(|(packed, row)| {
        let Some(row) = row else { return };
        let weight = &weight[row * n_in * n_taps..][..n_in * n_taps];
        for (tap, packed) in packed.chunks_exact_mut(from.padded()).enumerate() {
            for (place, input) in from.places().zip(0..) {
                packed[place] = weight[input * n_taps + tap];
            }
        }
    });
    packed
}

/// `[in, out, tap]` to `[tap, out, in]`.
pub(crate) fn upsample(weight: &[f32], n_taps: usize, from: &Channels, to: &Channels) -> Vec<f32> {
    let n_out = to.n();
    let mut packed = vec![0.0; n_taps * to.padded() * from.padded()];
    let columns = rows(to);
    let lines = packed.par_chunks_exact_mut(from.padded()).enumerate();
    lines.for_each(|(line, packed)| {
        let (tap, out) = (line / to.padded(), line % to.padded());
        let Some(column) = columns[out] else { return };
        for (place, input) in from.places().zip(0..) {
            packed[place] = weight[(input * n_out + column) * n_taps + tap];
        }
    });
    packed
}

/// Which channel each place holds; none where channels fill vectors.
fn rows(channels: &Channels) -> Vec<Option<usize>> {
    let mut rows = vec![None; channels.padded()];
    for (place, row) in channels.places().zip(0..) {
        rows[place] = Some(row);
    }
    rows
}

/// One value per channel.
pub(crate) fn per_channel(values: &[f32], channels: &Channels) -> Vec<f32> {
    let mut packed = vec![0.0; channels.padded()];
    for (place, value) in channels.places().zip(values) {
        packed[place] = *value;
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two and one channels that fill vectors of four.
    fn channels() -> Channels {
        Channels::concat([&Channels::padded_to(2, 4), &Channels::padded_to(1, 4)])
    }

    #[test]
    fn channels_keep_their_places_in_a_concatenation() {
        assert_eq!(channels().places().collect::<Vec<_>>(), [0, 1, 4]);
        assert_eq!((channels().n(), channels().padded()), (3, 8));
        assert_eq!(
            per_channel(&[1.0, 2.0, 3.0], &channels()),
            [1.0, 2.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0]
        );
    }

    #[test]
    fn a_convolution_is_packed_with_its_inputs_last() {
        let weight: Vec<f32> = (1..=6).map(|v| v as f32).collect(); // one output, three inputs, two taps
        let packed = convolution(&weight, 2, &channels(), &Channels::packed(1));
        assert_eq!(packed[..8], [1.0, 3.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0]);
        assert_eq!(packed[8..], [2.0, 4.0, 0.0, 0.0, 6.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_transposed_convolution_is_packed_by_taps() {
        let weight: Vec<f32> = (1..=6).map(|v| v as f32).collect(); // three inputs, one output, two taps
        let packed = upsample(&weight, 2, &channels(), &Channels::padded_to(1, 2));
        assert_eq!(packed.len(), 2 * 2 * 8);
        assert_eq!(packed[..8], [1.0, 3.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0]);
        assert_eq!(packed[8..16], [0.0; 8]);
        assert_eq!(packed[16..24], [2.0, 4.0, 0.0, 0.0, 6.0, 0.0, 0.0, 0.0]);
    }
}
