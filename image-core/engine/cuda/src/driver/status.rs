//! What the statuses of the driver mean.

use cudarc::driver::result::DriverError;
use cudarc::driver::sys::{self, CUresult};

use crate::CudaError;

/// What a status of the driver means.
pub(super) fn driver_error(card: &str, doing: &'static str, error: DriverError) -> CudaError {
    let status = format!("{:?}", error.0);
    match is_loss(error.0) {
        true => CudaError::Lost {
            card: card.to_owned(),
            doing,
            status,
        },
        false => CudaError::Driver { doing, status },
    }
}

/// True for what no later call recovers from.
fn is_loss(status: CUresult) -> bool {
    use sys::CUresult::*;
    matches!(
        status,
        CUDA_ERROR_ECC_UNCORRECTABLE
            | CUDA_ERROR_NVLINK_UNCORRECTABLE
            | CUDA_ERROR_ILLEGAL_ADDRESS
            | CUDA_ERROR_ILLEGAL_INSTRUCTION
            | CUDA_ERROR_MISALIGNED_ADDRESS
            | CUDA_ERROR_INVALID_ADDRESS_SPACE
            | CUDA_ERROR_INVALID_PC
            | CUDA_ERROR_HARDWARE_STACK_ERROR
            | CUDA_ERROR_LAUNCH_FAILED
            | CUDA_ERROR_LAUNCH_TIMEOUT
            | CUDA_ERROR_ASSERT
            | CUDA_ERROR_CONTEXT_IS_DESTROYED
            | CUDA_ERROR_DEINITIALIZED
            | CUDA_ERROR_DEVICE_UNAVAILABLE
            | CUDA_ERROR_SYSTEM_NOT_READY
            | CUDA_ERROR_UNKNOWN
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_card_is_told_from_a_refused_call() {
        let of = |status| driver_error("cuda:1", "copying", DriverError(status));
        assert!(of(CUresult::CUDA_ERROR_ECC_UNCORRECTABLE).is_fatal());
        assert!(of(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS).is_fatal());
        assert!(!of(CUresult::CUDA_ERROR_INVALID_VALUE).is_fatal());
        assert!(
            of(CUresult::CUDA_ERROR_UNKNOWN)
                .to_string()
                .starts_with("cuda:1 is lost: copying")
        );
    }
}
