//! The world's certificate authority: one key pair in a directory, and the certificates it signs.
//!
//! ```text
//! DIR/ca.key            the authority's private key, 0600; it never leaves the machine it was made on
//! DIR/ca.pem            its certificate, which every process of the world trusts
//! DIR/NAME.region.pem   a certificate that it issued,
//! DIR/NAME.region.key   and the private key of it, 0600
//! ```
//!
//! The certificate's common name says which world it is for, so a wrong directory is noticed before anything else goes wrong.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use time::{Duration, OffsetDateTime};
use webpki::EndEntityCert;

use crate::{
    PkiError, Principal,
    files::{self, Readers},
};

const CA_LIFE: Duration = Duration::days(10 * 365);
/// Two years: longer than anybody leaves a world unattended, shorter than the authority.
const LEAF_LIFE: Duration = Duration::days(2 * 365);
/// Clocks differ between regions. An hour back covers a clock that is far behind the issuer's.
const BACKDATING: Duration = Duration::hours(1);
const COMMON_NAME_PREFIX: &str = "Atoll world ";
/// X.520 allows 64 characters in a common name.
const WORLD_NAME_MOST: usize = 64 - COMMON_NAME_PREFIX.len();

/// The certificate authority of a world.
pub struct WorldCa {
    dir: PathBuf,
    world: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Where an issued identity lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedFiles {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key, 0600.
    pub key: PathBuf,
}

impl WorldCa {
    /// Makes the authority of a world in a directory that has none.
    ///
    /// A key without a certificate is the trace of a creation that was cut short; it is taken up, since a certificate
    /// made of the same key and name verifies all that the key ever signed.
    pub fn create(dir: &Path, world: &str) -> Result<Self, PkiError> {
        let ca_pem = dir.join("ca.pem");
        if ca_pem.exists() {
            return Err(PkiError::AlreadyThere { path: ca_pem });
        }
        let params = authority_params(world)?;
        let key_file = dir.join("ca.key");
        let key = if key_file.exists() { load_key(&key_file)? } else { new_key(&key_file)? };
        let cert = params.self_signed(&key).map_err(PkiError::crypto("make the authority's certificate"))?;
        files::write(&ca_pem, cert.pem().as_bytes(), Readers::Everybody)?;
        Ok(Self { dir: dir.to_owned(), world: world.to_owned(), issuer: Issuer::new(params, key) })
    }

    /// Opens the authority in a directory, and checks that its two files belong together.
    pub fn open(dir: &Path) -> Result<Self, PkiError> {
        let ca_pem = dir.join("ca.pem");
        let der = load_certificate(&ca_pem)?;
        let cert = EndEntityCert::try_from(&der).map_err(|e| PkiError::broken(&ca_pem, &e))?;
        let world = world_of(cert.subject())
            .ok_or_else(|| PkiError::broken(&ca_pem, "it is not the certificate of a world's authority"))?;
        let key_file = dir.join("ca.key");
        let key = load_key(&key_file)?;
        if key.subject_public_key_info() != cert.subject_public_key_info().as_ref() {
            return Err(PkiError::broken(&key_file, &format!("it is not the key of {}", ca_pem.display())));
        }
        let issuer = Issuer::new(authority_params(&world)?, key);
        Ok(Self { dir: dir.to_owned(), world, issuer })
    }

    /// Opens the authority of a world, or makes it where there is none. One of another world is refused.
    pub fn open_or_create(dir: &Path, world: &str) -> Result<Self, PkiError> {
        if !dir.join("ca.pem").exists() {
            return Self::create(dir, world);
        }
        let ca = Self::open(dir)?;
        if ca.world != world {
            return Err(PkiError::OtherWorld { path: ca.ca_pem_path(), found: ca.world, wanted: world.to_owned() });
        }
        Ok(ca)
    }

    /// The world it is for.
    pub fn world(&self) -> &str {
        &self.world
    }

    /// Its certificate, in a file.
    pub fn ca_pem_path(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Issues an identity: a fresh key, and a certificate with the principal's name and addresses, beside the authority's
    /// own files. An earlier one of the same principal is replaced; it stays valid until it expires.
    pub fn issue(&self, who: &Principal, ips: &[IpAddr]) -> Result<IssuedFiles, PkiError> {
        who.check()?;
        let kind = match who {
            Principal::Region(_) => "region",
            Principal::Admin(_) => "admin",
        };
        let file = |extension| self.dir.join(format!("{}.{kind}.{extension}", who.name()));
        let files = IssuedFiles { ca: self.ca_pem_path(), cert: file("pem"), key: file("key") };
        let params = leaf_params(who, ips)?;
        let key = new_key(&files.key)?;
        let cert = params.signed_by(&key, &self.issuer).map_err(PkiError::crypto("sign a certificate"))?;
        files::write(&files.cert, cert.pem().as_bytes(), Readers::Everybody)?;
        Ok(files)
    }
}

fn authority_params(world: &str) -> Result<CertificateParams, PkiError> {
    let bad = |why| Err(PkiError::BadName { what: "world", name: world.to_owned(), why });
    if world.is_empty() || world.len() > WORLD_NAME_MOST {
        return bad("it must have 1 to 52 bytes");
    }
    if world.chars().any(char::is_control) {
        return bad("control characters are not allowed");
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("{COMMON_NAME_PREFIX}{world}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = OffsetDateTime::now_utc() - BACKDATING;
    params.not_after = params.not_before + CA_LIFE;
    Ok(params)
}

fn leaf_params(who: &Principal, ips: &[IpAddr]) -> Result<CertificateParams, PkiError> {
    let dns_name = who.dns_name();
    let mut params = CertificateParams::new([dns_name.clone()]).map_err(PkiError::crypto("name a certificate"))?;
    params.subject_alt_names.extend(ips.iter().copied().map(SanType::IpAddress));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, dns_name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match who {
        // Regions dial each other, so each is a server and a client. A person is never a server.
        Principal::Region(_) => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        Principal::Admin(_) => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    params.use_authority_key_identifier_extension = true;
    params.not_before = OffsetDateTime::now_utc() - BACKDATING;
    params.not_after = params.not_before + LEAF_LIFE;
    Ok(params)
}

fn new_key(file: &Path) -> Result<KeyPair, PkiError> {
    let key = KeyPair::generate().map_err(PkiError::crypto("make a key pair"))?;
    files::write(file, key.serialize_pem().as_bytes(), Readers::Owner)?;
    Ok(key)
}

fn load_key(file: &Path) -> Result<KeyPair, PkiError> {
    let text = String::from_utf8(files::read(file)?).map_err(|_| PkiError::broken(file, "it is not a PEM file"))?;
    KeyPair::from_pem(&text).map_err(|e| PkiError::broken(file, &format!("it holds no private key ({e})")))
}

fn load_certificate(file: &Path) -> Result<CertificateDer<'static>, PkiError> {
    CertificateDer::from_pem_slice(&files::read(file)?)
        .map_err(|e| PkiError::broken(file, &format!("it holds no certificate ({e})")))
}

/// The world named in an authority's subject, which [`authority_params`] made of one common name and nothing else:
/// `SET { SEQUENCE { OID 2.5.4.3, UTF8String } }`. Short lengths only, since the name has 64 bytes at most.
fn world_of(subject: &[u8]) -> Option<String> {
    const COMMON_NAME_UTF8: [u8; 6] = [0x06, 0x03, 0x55, 0x04, 0x03, 0x0c];
    let (&[0x31, _, 0x30, _], attribute) = subject.split_first_chunk::<4>()? else { return None };
    let (&length, text) = attribute.strip_prefix(&COMMON_NAME_UTF8)?.split_first()?;
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() == usize::from(length))?;
    text.strip_prefix(COMMON_NAME_PREFIX).map(str::to_owned)
}
