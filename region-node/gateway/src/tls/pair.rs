//! A certificate chain and its key, read from two files and checked against each other.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    crypto::ring::default_provider,
    pki_types::{CertificateDer, DnsName, PrivateKeyDer, ServerName, pem::PemObject},
    sign::CertifiedKey,
};
use webpki::EndEntityCert;

use super::{CertificateError, CertificateFiles, validity};

/// Larger files are none of ours.
const FILE_MAX_BYTES: u64 = 1 << 20;

#[derive(Debug)]
pub(crate) struct Pair {
    /// Both files' bytes, to see whether they changed. Of the key, this is as secret as `certified`.
    pub(crate) source: Source,
    pub(crate) certified: Arc<CertifiedKey>,
    /// DNS names of the certificate in lower case, wildcards as `*.parent`.
    pub(crate) names: Vec<String>,
    /// Unix time, seconds.
    pub(crate) not_after: i64,
}

/// What was read.
#[derive(PartialEq, Eq)]
pub(crate) struct Source([u8; 32]);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source(..)")
    }
}

fn read(file: &Path) -> Result<Vec<u8>, CertificateError> {
    let broken = |reason| CertificateError { file: file.to_owned(), reason };
    let size = fs::metadata(file).map_err(|error| broken(format!("it cannot be read ({error})")))?.len();
    if size > FILE_MAX_BYTES {
        return Err(broken(format!("it has {size} bytes, which is no PEM file of a certificate or a key")));
    }
    fs::read(file).map_err(|error| broken(format!("it cannot be read ({error})")))
}

impl Pair {
    /// Reads both files and checks that they belong together.
    pub(crate) fn read(files: &CertificateFiles) -> Result<Self, CertificateError> {
        let (chain_pem, key_pem) = (read(&files.certificate)?, read(&files.key)?);
        let bad_chain = |reason| CertificateError { file: files.certificate.clone(), reason };
        let bad_key = |reason| CertificateError { file: files.key.clone(), reason };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain_pem)
            .collect::<Result<_, _>>()
            .map_err(|error| bad_chain(format!("it is no PEM file of certificates ({error})")))?;
        let first = chain.first().ok_or_else(|| bad_chain("it holds no certificate".to_owned()))?;
        let key = PrivateKeyDer::from_pem_slice(&key_pem)
            .map_err(|error| bad_key(format!("it holds no private key ({error})")))?;
        let parsed = EndEntityCert::try_from(first).map_err(|error| bad_chain(format!("it is broken ({error})")))?;
        let names: Vec<String> = parsed.valid_dns_names().map(str::to_ascii_lowercase).collect();
        let not_after =
            validity::not_after(first).ok_or_else(|| bad_chain("its period of validity cannot be read".to_owned()))?;
        let certified = CertifiedKey::from_der(chain.clone(), key, &default_provider())
            .map_err(|error| bad_key(format!("it is not the key of {} ({error})", files.certificate.display())))?;
        let mut both = ring::digest::Context::new(&ring::digest::SHA256);
        both.update(&(chain_pem.len() as u64).to_be_bytes());
        both.update(&chain_pem);
        both.update(&key_pem);
        let mut source = [0; 32];
        source.copy_from_slice(both.finish().as_ref());
        Ok(Self { source: Source(source), certified: Arc::new(certified), names, not_after })
    }

    /// Whether the certificate is for this name or address.
    pub(crate) fn covers(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let name = match bare.parse() {
            Ok(address) => ServerName::IpAddress(std::net::IpAddr::into(address)),
            Err(_) => match DnsName::try_from(bare) {
                Ok(name) => ServerName::DnsName(name),
                Err(_) => return false,
            },
        };
        let Some(first) = self.certified.cert.first() else { return false };
        EndEntityCert::try_from(first).is_ok_and(|cert| cert.verify_is_valid_for_subject_name(&name).is_ok())
    }
}
