//! Only servers that a trusted certificate names are talked to.

use std::io::BufReader;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nephrite_dicomweb::{DicomWeb, DicomWebError, ServerSettings};
use nephrite_types::CancelToken;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::pacs::{Client, good};
use super::server::{read_request, write_reply};

/// A certificate authority, written to a file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let file = folder.join(name);
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Authority {
            issuer: Issuer::new(params, key),
            file,
        }
    }

    /// A good server with a certificate for a name; gives its port.
    fn serve(&self, name: &str) -> u16 {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = config
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        let config = Arc::new(config.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(config.clone()).unwrap();
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
                    while let Some(request) = read_request(&mut stream) {
                        if !write_reply(stream.get_mut(), good(&request)) {
                            break;
                        }
                    }
                });
            }
        });
        port
    }
}

#[test]
fn certificates_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (
        Authority::new(folder.path(), "ours"),
        Authority::new(folder.path(), "other"),
    );
    let port = ours.serve("localhost");
    let url = format!("https://localhost:{port}/dicom-web");
    let trusting = Client::of(&url, |settings| settings.ca_file = Some(ours.file.clone()));
    assert_eq!(trusting.pull(None, &CancelToken::new()).unwrap()[0].instances, 3);
    for ca_file in [None, Some(other.file.clone())] {
        let error = Client::of(&url, |settings| settings.ca_file = ca_file).refused();
        assert!(
            matches!(error, DicomWebError::Unreachable { .. }) && error.to_string().contains("certificate"),
            "{error}"
        );
    }
    let by_number = format!("https://127.0.0.1:{port}/dicom-web");
    let error = Client::of(&by_number, |settings| settings.ca_file = Some(ours.file.clone())).refused();
    assert!(
        error.to_string().contains("certificate"),
        "of another name: {error}"
    );
    let plain = format!("http://localhost:{port}/dicom-web");
    assert!(matches!(
        Client::of(&plain, |_| {}).refused(),
        DicomWebError::Cut { .. }
    ));
}

#[test]
fn files_of_certificates_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for content in ["", "hello", broken, "-----BEGIN CERTIFICATE-----\n"] {
        let file = folder.path().join("ca");
        std::fs::write(&file, content).unwrap();
        let mut settings = ServerSettings::new("pacs", "https://a".parse().unwrap());
        settings.ca_file = Some(file);
        let error = DicomWeb::new(settings).unwrap_err();
        assert!(
            matches!(error, DicomWebError::File { .. }),
            "{content:?}: {error:?}"
        );
    }
}
