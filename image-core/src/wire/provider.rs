//! What runs networks ⇄ messages.

use nephrite_engine::Provider;
use nephrite_proto::v1;

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
}
