//! In which precision each provider computes.

use nephrite_types::Precision;

use crate::Provider;

/// Those that a provider can compute in; the first is what it computes in if nobody says anything.
pub fn precisions(provider: Provider) -> &'static [Precision] {
    match provider {
        Provider::Cpu => &[Precision::F32, Precision::Bf16],
        Provider::Cuda => &[Precision::Half, Precision::Tf32, Precision::F32],
        Provider::OpenVino => &[Precision::F32],
    }
}

/// As the kernels of the CPU have it; `None` if they do not.
pub fn cpu_precision(precision: Precision) -> Option<nephrite_cpu::Precision> {
    match precision {
        Precision::F32 => Some(nephrite_cpu::Precision::F32),
        Precision::Bf16 => Some(nephrite_cpu::Precision::Bf16),
        Precision::Tf32 | Precision::Half => None,
    }
}

/// As those of NVIDIA cards have it; `None` if they do not.
pub fn card_precision(precision: Precision) -> Option<nephrite_cuda::Precision> {
    match precision {
        Precision::F32 => Some(nephrite_cuda::Precision::Single),
        Precision::Tf32 => Some(nephrite_cuda::Precision::Tf32),
        Precision::Half => Some(nephrite_cuda::Precision::Half),
        Precision::Bf16 => None,
    }
}

/// What a card computes in, by the name that users give it.
pub fn precision_of_card(precision: nephrite_cuda::Precision) -> Precision {
    match precision {
        nephrite_cuda::Precision::Single => Precision::F32,
        nephrite_cuda::Precision::Tf32 => Precision::Tf32,
        nephrite_cuda::Precision::Half => Precision::Half,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_have_what_their_kernels_have() {
        for precision in Precision::ALL {
            let has = |provider| precisions(provider).contains(&precision);
            assert_eq!(has(Provider::Cpu), cpu_precision(precision).is_some());
            assert_eq!(has(Provider::Cuda), card_precision(precision).is_some());
            let back = card_precision(precision).map(precision_of_card);
            assert!(back.is_none_or(|back| back == precision));
        }
        assert_eq!(precisions(Provider::Cuda)[0], Precision::Half);
    }
}
