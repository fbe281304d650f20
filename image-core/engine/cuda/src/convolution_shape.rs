//! What a convolution is.

/// What a convolution is. Channels include those that fill vectors; zeros around, half a kernel wide.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ConvolutionShape {
    pub(crate) n_in: usize,
    pub(crate) n_out: usize,
    pub(crate) input: [usize; 3],
    pub(crate) output: [usize; 3],
    pub(crate) kernel: [usize; 3],
    pub(crate) stride: [usize; 3],
}
