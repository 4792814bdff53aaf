//! Bearer tokens of administrators: a secret in a file, and the hash that is all a server keeps of it.

use std::{fmt, path::Path, str::FromStr};

use ring::digest;
use subtle::ConstantTimeEq;

use crate::{
    PkiError,
    files::{self, Readers},
};

/// Marks our tokens, so that secret scanners and people recognise one.
const PREFIX: &str = "atoll_";
const SECRET_BYTES: usize = 32;

/// A bearer token: 256 random bits, as text. Its text is a secret; `Debug` does not show it.
#[derive(Clone)]
pub struct AdminToken(String);

impl AdminToken {
    /// Makes a token and writes it to a file that only its owner reads. A token that is there is replaced.
    pub fn create(file: &Path) -> Result<Self, PkiError> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(PkiError::crypto("get random bytes for a token"))?;
        let token = Self(format!("{PREFIX}{}", hex(&secret)));
        files::write(file, format!("{}\n", token.0).as_bytes(), Readers::Owner)?;
        Ok(token)
    }

    /// Reads a token from its file.
    pub fn load(file: &Path) -> Result<Self, PkiError> {
        let text = String::from_utf8(files::read(file)?).map_err(|_| PkiError::broken(file, "it is not text"))?;
        Self::parse(&text).ok_or_else(|| PkiError::broken(file, "it does not hold a token of Atoll"))
    }

    /// Takes a token as text, white space around it allowed. `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let secret = unhex(text.strip_prefix(PREFIX)?)?;
        Some(Self(format!("{PREFIX}{}", hex(&secret))))
    }

    /// The secret text, for an `Authorization: Bearer` header and nothing else.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// What a server keeps of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(secret)")
    }
}

/// SHA-256 of a token. A plain hash is enough, since the token is 256 random bits and not a word that could be guessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    fn of(text: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.as_ref());
        Self(hash)
    }

    /// Whether a presented text is the token, in a time that does not depend on how much of it is right.
    pub fn admits(&self, presented: &str) -> bool {
        Self::of(presented).0.ct_eq(&self.0).into()
    }

    /// Writes the hash to a file.
    pub fn save(&self, file: &Path) -> Result<(), PkiError> {
        files::write(file, format!("{self}\n").as_bytes(), Readers::Everybody)
    }

    /// Reads a hash from its file.
    pub fn load(file: &Path) -> Result<Self, PkiError> {
        let text = String::from_utf8_lossy(&files::read(file)?).into_owned();
        text.trim().parse().map_err(|why| PkiError::broken(file, why))
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex(&self.0))
    }
}

impl FromStr for TokenHash {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("sha256:")
            .and_then(unhex)
            .map(Self)
            .ok_or("it does not hold `sha256:` and 64 hexadecimal digits")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 64 lower-case digits, and nothing else.
fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}
