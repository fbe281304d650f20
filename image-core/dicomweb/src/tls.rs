//! Which certificates of servers are trusted.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::at::At;
use crate::error::DicomWebError;
use crate::secret::{certificates, unusable};
use crate::settings::ServerSettings;

/// Those of the machine, and those of the configured file.
///
/// # Errors
/// [`DicomWebError::File`]; [`DicomWebError::System`] if there are none at all.
pub(crate) fn client_config(settings: &ServerSettings, at: &At) -> Result<ClientConfig, DicomWebError> {
    let mut roots = RootCertStore::empty();
    let of_machine = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(of_machine.certs);
    if let Some(path) = &settings.ca_file {
        let bytes = certificates(path, at)?;
        let read: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let read = read.map_err(|_| unusable(path, at, "expected certificates in PEM"))?;
        if read.is_empty() {
            return Err(unusable(path, at, "it holds no certificate in PEM"));
        }
        for certificate in read {
            let added = roots.add(certificate);
            added.map_err(|_| unusable(path, at, "it holds a certificate that cannot be read"))?;
        }
    }
    let system = |reason: String| DicomWebError::System {
        at: at.clone(),
        reason,
    };
    if roots.is_empty() && settings.url.is_encrypted() {
        return Err(system(
            "this machine has no certificates, and no ca_file is given".to_owned(),
        ));
    }
    let versions = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| system(error.to_string()))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}
