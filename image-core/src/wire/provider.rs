//! What runs networks ⇄ messages.

use nephrite_engine::Provider;
use nephrite_proto::v1;
use nephrite_types::Precision;

pub(crate) fn wire_provider(provider: Provider) -> v1::Provider {
    match provider {
        Provider::Cpu => v1::Provider::Cpu,
        Provider::Cuda => v1::Provider::Cuda,
        Provider::OpenVino => v1::Provider::Openvino,
    }
}

/// `None` for one that only a newer process knows.
pub(crate) fn provider(number: i32) -> Option<Provider> {
    match v1::Provider::try_from(number).ok()? {
        v1::Provider::Unspecified => None,
        v1::Provider::Cpu => Some(Provider::Cpu),
        v1::Provider::Cuda => Some(Provider::Cuda),
        v1::Provider::Openvino => Some(Provider::OpenVino),
    }
}

pub(crate) fn wire_precision(precision: Precision) -> v1::Precision {
    match precision {
        Precision::F32 => v1::Precision::F32,
        Precision::Bf16 => v1::Precision::Bf16,
        Precision::Tf32 => v1::Precision::Tf32,
        Precision::Half => v1::Precision::Half,
    }
}

/// `None` for one that only a newer process knows; one that does not say it is older, and knows f32 only.
pub(crate) fn precision(number: i32) -> Option<Precision> {
    match v1::Precision::try_from(number).ok()? {
        v1::Precision::Unspecified | v1::Precision::F32 => Some(Precision::F32),
        v1::Precision::Bf16 => Some(Precision::Bf16),
        v1::Precision::Tf32 => Some(Precision::Tf32),
        v1::Precision::Half => Some(Precision::Half),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_come_back_from_their_messages() {
        for known in Provider::ALL {
            assert_eq!(provider(wire_provider(known).into()), Some(known));
        }
        assert_eq!((provider(0), provider(99)), (None, None));
    }

    #[test]
    fn precisions_come_back_from_their_messages() {
        for known in Precision::ALL {
            assert_eq!(precision(wire_precision(known).into()), Some(known));
        }
        assert_eq!((precision(0), precision(99)), (Some(Precision::F32), None));
    }
}
