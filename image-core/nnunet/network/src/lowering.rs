//! The choice of operators for the layers of a network.

/// How layers become ONNX operators. All lowerings compute the same logits up to rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Lowering {
    /// One operator per layer, as PyTorch's exporter would write it.
    #[default]
    Plain,
    /// As [`Lowering::Plain`], but 3-D convolutions with kernels of 3×3×3 or 1×3×3 and stride 1 over many voxels are
    /// written as `nephrite.Conv`, which nephrite's engine adds to ONNX Runtime's CPU provider.
    OwnConv,
}
