//! TLS on both sides: which cryptography, which certificates, which protocols.
//!
//! Decides what the gate proves and whom it believes. Upstreams are always verified, there is no
//! switch for less; with a client CA, agents without a certificate of it are not served. Who an
//! agent is by its certificate is decided by whoever identifies callers.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsConnector;

/// What the gate's own listeners may speak, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("cannot read {file}: {reason}")]
    Read {
        /// Which.
        file: String,
        /// Why.
        reason: rustls::pki_types::pem::Error,
    },
    /// A file holds no certificate.
    #[error("no certificate in {0}")]
    Empty(String),
    /// Certificate and key are no pair, or not usable.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// The client CA is not one.
    #[error("the client CA cannot be used: {0}")]
    ClientCa(#[from] rustls::server::VerifierBuilderError),
}

/// The one place that chooses an implementation of cryptography.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// What the gate's listeners prove and ask for.
pub fn server(
    certificate: &Path,
    key: &Path,
    client_ca: Option<&Path>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(file)? {
                roots.add(root)?;
            }
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build()?,
            )
        }
    };
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|reason| unreadable(key, reason))?;
    let mut config = builder.with_single_cert(certificates(certificate)?, key_der)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

/// What is asked of upstreams: a chain to a root that this machine trusts, or to one in `extra`.
pub fn client(extra: Option<&Path>) -> Result<TlsConnector, TlsError> {
    let mut roots = RootCertStore::empty();
    // A machine's store often holds a few that cannot be parsed. Missing ones make upstreams
    // unreachable, never trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = extra {
        for root in certificates(file)? {
            roots.add(root)?;
        }
    }
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|reason| unreadable(file, reason))?;
    if found.is_empty() {
        Err(TlsError::Empty(file.display().to_string()))
    } else {
        Ok(found)
    }
}

fn unreadable(file: &Path, reason: rustls::pki_types::pem::Error) -> TlsError {
    TlsError::Read {
        file: file.display().to_string(),
        reason,
    }
}
