//! Tells the processor what will be read soon. More streams are read at once than its own predictor follows.

/// Asks for the cache line of a value, if there is such a value. Changes nothing but time. It goes to the second-level cache:
/// rows whose length is a power of two would drive each other out of the first one.
#[inline(always)]
pub(crate) fn prefetch(values: &[f32], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(value) = values.get(at) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch reads nothing, whatever the address; this one is that of a value.
        #[allow(unsafe_code)]
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(value).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, at);
}
