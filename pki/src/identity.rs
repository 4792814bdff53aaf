//! An identity at work: TLS configurations for both ends of a connection.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use ring::hmac;
use rustls::{
    ClientConfig, ConfigBuilder, ConfigSide, RootCertStore, ServerConfig, WantsVerifier, WantsVersions,
    crypto::{CryptoProvider, ring::default_provider},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use webpki::{EndEntityCert, KeyUsage};

use crate::{PkiError, Principal, files, peer_principal};

/// Whether a server asks clients for a certificate in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate of this world, no connection.
    Required,
    /// A certificate is verified if there is one; who comes without must show a bearer token instead.
    Optional,
}

/// Who we are: the world's authority, our certificate, and our key.
///
/// Loading verifies the certificate against the authority, so that a mix-up is reported here, with both files' names,
/// and not later by every peer as a handshake that failed.
pub struct Identity {
    principal: Principal,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Loads an identity from its three files.
    pub fn load(ca: &Path, cert: &Path, key: &Path) -> Result<Self, PkiError> {
        let roots = load_roots(ca)?;
        let chain = load_certificates(cert)?;
        verify(&roots, &chain, ca, cert)?;
        let principal =
            peer_principal(&chain).ok_or_else(|| PkiError::broken(cert, "it names neither a region nor an admin"))?;
        let key_der = PrivateKeyDer::from_pem_slice(&files::read(key)?)
            .map_err(|e| PkiError::broken(key, &format!("it holds no private key ({e})")))?;
        // Checks, among other things, that the key is the certificate's.
        rustls::sign::CertifiedKey::from_der(chain.clone(), key_der.clone_key(), &provider())
            .map_err(|e| PkiError::broken(key, &format!("it does not fit {} ({e})", cert.display())))?;
        Ok(Self { principal, roots, chain, key: key_der })
    }

    /// Whom the certificate speaks for.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// A secret of this identity for one purpose, the same at each start with the same key: HMAC-SHA256 of the purpose under the
    /// private key. Nothing follows from it about the key, or about the secret for another purpose.
    pub fn secret(&self, purpose: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.secret_der());
        let tag = hmac::sign(&key, purpose.as_bytes());
        let mut secret = [0; 32];
        secret.copy_from_slice(tag.as_ref());
        secret
    }

    /// A server's configuration: TLS 1.3, our certificate, clients verified against the world's authority.
    pub fn server_config(&self, alpn: &[&[u8]], client_auth: ClientAuth) -> Result<Arc<ServerConfig>, PkiError> {
        const WHAT: &str = "make a TLS server configuration";
        let builder = tls13(ServerConfig::builder_with_provider(provider()), WHAT)?;
        let mut config = builder
            .with_client_cert_verifier(self.client_verifier(client_auth)?)
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(PkiError::crypto(WHAT))?;
        config.alpn_protocols = owned(alpn);
        Ok(Arc::new(config))
    }

    /// A client's configuration: TLS 1.3, servers verified against the world's authority, our certificate shown.
    pub fn client_config(&self, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, PkiError> {
        const WHAT: &str = "make a TLS client configuration";
        let builder = tls13(ClientConfig::builder_with_provider(provider()), WHAT)?;
        let mut config = builder
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(PkiError::crypto(WHAT))?;
        config.alpn_protocols = owned(alpn);
        Ok(Arc::new(config))
    }

    fn client_verifier(&self, client_auth: ClientAuth) -> Result<Arc<dyn ClientCertVerifier>, PkiError> {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), provider());
        let builder = match client_auth {
            ClientAuth::Required => builder,
            ClientAuth::Optional => builder.allow_unauthenticated(),
        };
        builder.build().map_err(PkiError::crypto("make a verifier of client certificates"))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// The configuration of a client that shows no certificate, because it comes with a bearer token.
pub fn ca_client_config(ca: &Path, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, PkiError> {
    let builder = tls13(ClientConfig::builder_with_provider(provider()), "make a TLS client configuration")?;
    let mut config = builder.with_root_certificates(load_roots(ca)?).with_no_client_auth();
    config.alpn_protocols = owned(alpn);
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

fn tls13<S: ConfigSide>(
    builder: ConfigBuilder<S, WantsVersions>,
    what: &'static str,
) -> Result<ConfigBuilder<S, WantsVerifier>, PkiError> {
    builder.with_protocol_versions(&[&rustls::version::TLS13]).map_err(PkiError::crypto(what))
}

fn owned(alpn: &[&[u8]]) -> Vec<Vec<u8>> {
    alpn.iter().map(|protocol| protocol.to_vec()).collect()
}

fn load_roots(ca: &Path) -> Result<Arc<RootCertStore>, PkiError> {
    let mut roots = RootCertStore::empty();
    for cert in load_certificates(ca)? {
        roots.add(cert).map_err(|e| PkiError::broken(ca, &e))?;
    }
    Ok(Arc::new(roots))
}

fn load_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let pem = files::read(file)?;
    let certs = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let certs = certs.map_err(|e| PkiError::broken(file, &format!("it holds no certificate ({e})")))?;
    if certs.is_empty() {
        return Err(PkiError::broken(file, "it holds no certificate"));
    }
    Ok(certs)
}

/// Every certificate of ours, a region's or an admin's, may be shown by a client; so that usage is checked.
fn verify(roots: &RootCertStore, chain: &[CertificateDer<'_>], ca: &Path, cert: &Path) -> Result<(), PkiError> {
    let not_issued = |e: webpki::Error| PkiError::NotIssued { cert: cert.into(), ca: ca.into(), why: e.to_string() };
    let (first, intermediates) =
        chain.split_first().ok_or_else(|| PkiError::broken(cert, "it holds no certificate"))?;
    let algorithms = default_provider().signature_verification_algorithms.all;
    let now = UnixTime::since_unix_epoch(unix_now());
    EndEntityCert::try_from(first)
        .map_err(|e| PkiError::broken(cert, &e))?
        .verify_for_usage(algorithms, &roots.roots, intermediates, now, KeyUsage::client_auth(), None, None)
        .map_err(not_issued)?;
    Ok(())
}

/// A clock before 1970 reads as 1970, and the verifier then says that the certificate is not valid yet.
fn unix_now() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}
