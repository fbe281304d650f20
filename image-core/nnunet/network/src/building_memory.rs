//! What making a network holds at its peak, told before any weight is read.

use crate::architecture::Architecture;
use crate::session_memory::NetworkMemory;

/// Bytes at the peak while a network for our own kernels is made that will take so much.
///
/// The weights are packed one tensor after the other, and only the one that is being packed is there as it was read: at most
/// `largest_read` bytes. What runs need is taken by the first of them.
pub fn cpu_building_bytes(taken: &NetworkMemory, largest_read: u64) -> u64 {
    taken.weights.saturating_add(largest_read)
}

/// Bytes that the host holds at the peak while a network is made on an NVIDIA card: its weights as the card will read them, of which f32
/// take the most, and one tensor as it was read and as it is packed.
pub fn cuda_building_bytes(architecture: &Architecture, kept: &NetworkMemory, largest_read: u64) -> u64 {
    let packed = architecture.n_parameters().saturating_mul(4);
    let read = largest_read.saturating_mul(2);
    kept.total().saturating_add(packed).saturating_add(read)
}

/// Bytes at the peak from the first weight that is read to the end of the first run, of a session of ONNX Runtime that will keep
/// so much.
///
/// While the model is written, there are its bytes and one tensor as it was read. While the session is made, there are the
/// bytes, the weights of the session, and one tensor on its way from the ones to the others, but no activations yet. Of
/// a 2-D network, the weights are there once more: with their channels in blocks, and as they were.
///
/// Measured by `image-core/nnunet/tests/session_memory.rs` with ONNX Runtime 1.31.
pub fn session_building_bytes(architecture: &Architecture, kept: &NetworkMemory, largest_read: u64) -> u64 {
    let params = architecture.layers().params;
    let largest = params.iter().map(|param| param.n_values()).max().unwrap_or(0);
    let n_copies = if architecture.patch().len() == 2 { 3 } else { 2 };
    let copies = kept.weights.saturating_mul(n_copies);
    let made = copies
        .saturating_add(largest.saturating_mul(4))
        .saturating_add(kept.working);
    let written = kept.weights.saturating_add(largest_read);
    kept.total().max(written).max(made)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WEIGHTS: u64 = 1_000_000;
    const WORKING: u64 = 10;

    fn kept(activations: u64) -> NetworkMemory {
        NetworkMemory {
            weights: WEIGHTS,
            activations,
            working: WORKING,
        }
    }

    #[test]
    fn our_own_kernels_hold_packed_weights_and_one_tensor() {
        assert_eq!(cpu_building_bytes(&kept(3), 400), WEIGHTS + 400);
        assert_eq!(cpu_building_bytes(&kept(399), 400), WEIGHTS + 400, "no run yet");
        assert_eq!(cpu_building_bytes(&kept(3), 4 * WEIGHTS), 5 * WEIGHTS);
        assert_eq!(cpu_building_bytes(&kept(u64::MAX), u64::MAX), u64::MAX);
    }

    /// The largest tensor has 4 output channels, 8 input channels, and 3 taps along each axis.
    fn architecture(patch: &[usize]) -> Architecture {
        let n_axes = patch.len();
        let kwargs = json!({
            "n_stages": 2, "features_per_stage": [4, 6], "conv_op": format!("torch.nn.modules.conv.Conv{n_axes}d"),
            "kernel_sizes": 3, "strides": [1, 2], "n_conv_per_stage": 1, "n_conv_per_stage_decoder": 1, "conv_bias": true,
            "norm_op": format!("torch.nn.modules.instancenorm.InstanceNorm{n_axes}d"), "norm_op_kwargs": {"affine": true},
            "nonlin": "torch.nn.LeakyReLU",
        });
        Architecture::parse("PlainConvUNet", kwargs.as_object().unwrap(), 1, 3, patch).unwrap()
    }

    #[test]
    fn a_session_holds_its_weights_several_times_and_one_tensor_or_what_a_run_takes() {
        for (patch, n_copies, largest) in [(&[8, 8, 8][..], 2, 4 * 4 * 8 * 27), (&[8, 8], 3, 4 * 4 * 8 * 9)] {
            let bytes = |activations, largest_read| {
                session_building_bytes(&architecture(patch), &kept(activations), largest_read)
            };
            let made = n_copies * WEIGHTS + largest + WORKING;
            assert_eq!(bytes(3, 400), made, "{patch:?}");
            assert_eq!(bytes(made, 400), WEIGHTS + made + WORKING, "{patch:?}");
            // doubles that become floats, of a network that is one tensor
            assert_eq!(bytes(3, 3 * WEIGHTS), 4 * WEIGHTS, "{patch:?}");
            assert_eq!(bytes(u64::MAX, u64::MAX), u64::MAX, "{patch:?}");
        }
    }
}
