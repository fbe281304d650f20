//! Functions of moderate size out of one large one.

use pulp::{Simd, WithSimd};

/// Runs a part of a task in a function of its own: what is inlined all into one function leaves the compiler too many values
/// to keep in registers.
///
/// This function has no vector instructions itself, which is why the part, which has, is not inlined into it.
#[inline(never)]
pub(crate) fn apart<S: Simd, T: WithSimd>(simd: S, part: T) -> T::Output {
    simd.vectorize(part)
}
