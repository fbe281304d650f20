//! Kernels as the minimal filtering algorithm needs them.

/// Output channels that are computed together: as many accumulators as registers allow, times 3 vectors of voxels.
pub(crate) const N_OUT_BLOCK: usize = 8;
/// Taps along x, which stay as they are.
pub(crate) const N_TAPS_X: usize = 3;

/// Transformed and packed weights, `[output block][component][input channel][tap along x][output in block]`.
///
/// A component is a pair of transformed taps, z-major: 4 (z) × 4 (y), or 1 × 4 for a kernel that is flat along z.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    pub(crate) n_out: usize,
    pub(crate) n_in: usize,
    pub(crate) n_components_z: usize,
    values: Vec<f32>,
}

impl Weights {
    /// From `weight`, `[out, in, z, 3, 3]` with 3 or 1 taps along z. Lengths must fit.
    pub(crate) fn new(n_out: usize, n_in: usize, n_taps_z: usize, weight: &[f32]) -> Self {
        let n_components_z = if n_taps_z == 3 { 4 } else { 1 };
        let n_components = n_components_z * 4;
        let n_blocks = n_out.div_ceil(N_OUT_BLOCK);
        let mut values = vec![0.0; n_blocks * n_components * n_in * N_TAPS_X * N_OUT_BLOCK];
        for (i, kernel) in weight.chunks_exact(n_taps_z * 9).enumerate() {
            let (out, input) = (i / n_in, i % n_in);
            for tap_x in 0..N_TAPS_X {
                for (component, value) in components(kernel, tap_x).into_iter().enumerate() {
                    let at =
                        ((out / N_OUT_BLOCK * n_components + component) * n_in + input) * N_TAPS_X + tap_x;
                    values[at * N_OUT_BLOCK + out % N_OUT_BLOCK] = value as f32;
                }
            }
        }
        Weights {
            n_out,
            n_in,
            n_components_z,
            values,
        }
    }

    pub(crate) fn n_components(&self) -> usize {
        self.n_components_z * 4
    }

    /// `[input channel][tap along x][output in block]` of one block and component.
    pub(crate) fn packed(&self, out_block: usize, component: usize) -> &[f32] {
        let len = self.n_in * N_TAPS_X * N_OUT_BLOCK;
        &self.values[(out_block * self.n_components() + component) * len..][..len]
    }

    /// Bytes held.
    pub(crate) fn n_bytes(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }
}

/// The transformed taps over z and y of one kernel `[z, 3, 3]` at one position along x, in f64: rounded once.
fn components(kernel: &[f32], tap_x: usize) -> Vec<f64> {
    let over_y: Vec<[f64; 4]> = kernel
        .chunks_exact(9)
        .map(|plane| transform([0, 1, 2].map(|y| f64::from(plane[y * 3 + tap_x]))))
        .collect();
    match over_y[..] {
        [z0, z1, z2] => {
            let columns = [0, 1, 2, 3].map(|c| transform([z0[c], z1[c], z2[c]]));
            (0..16).map(|i| columns[i % 4][i / 4]).collect()
        }
        _ => over_y.concat(),
    }
}

/// `G g` of F(2, 3).
fn transform([g0, g1, g2]: [f64; 3]) -> [f64; 4] {
    [g0, (g0 + g1 + g2) / 2.0, (g0 - g1 + g2) / 2.0, g2]
}
