//! What a product is made of.

/// What the sums begin with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start<'a> {
    /// Nothing.
    Zero,
    /// One value per output.
    Bias(&'a [f32]),
    /// Nothing; what is there is added at the end. Many short sums lose less to rounding than a long one.
    Add,
}

/// Rows of factors: `n_rows` of them, `stride` values apart; the first `depth` values of each are used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) n_rows: usize,
    pub(crate) depth: usize,
}
