//! Round trips through files, and through real TLS handshakes over TCP.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::*;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A directory of its own for each test, gone at the end.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("atoll-pki-test-{}-{n}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn region(name: &str) -> Principal {
    Principal::Region(name.into())
}

fn admin(name: &str) -> Principal {
    Principal::Admin(name.into())
}

fn load(files: &IssuedFiles) -> Identity {
    Identity::load(&files.ca, &files.cert, &files.key).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn secrets_are_readable_by_their_owner_only() {
    let dir = Dir::new();
    let ca = WorldCa::create(&dir.0, "shop").unwrap();
    let files = ca.issue(&region("eu-west"), &[LOCAL]).unwrap();
    AdminToken::create(&dir.path("admin.token")).unwrap();
    for secret in [dir.path("ca.key"), files.key, dir.path("admin.token")] {
        assert_eq!(mode(&secret), 0o600, "{}", secret.display());
    }
    assert_eq!(files.cert, dir.path("eu-west.region.pem"));
    let leftovers = fs::read_dir(&dir.0)
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().ends_with(".new"))
        .count();
    assert_eq!(leftovers, 0);
}

#[test]
fn an_authority_opened_again_issues_certificates_that_the_old_one_would() {
    let dir = Dir::new();
    WorldCa::create(&dir.0, "shop").unwrap();
    let ca = WorldCa::open(&dir.0).unwrap();
    assert_eq!(ca.world(), "shop");
    let identity = load(&ca.issue(&admin("ops"), &[]).unwrap());
    assert_eq!(*identity.principal(), admin("ops"));
}

#[test]
fn any_printable_world_name_survives_the_certificate() {
    for world in ["a", "My Shop, Inc. (test)", "Größe", &"x".repeat(52)] {
        let dir = Dir::new();
        WorldCa::create(&dir.0, world).unwrap();
        assert_eq!(WorldCa::open_or_create(&dir.0, world).unwrap().world(), world);
    }
    for world in ["", "line\nbreak", &"x".repeat(53)] {
        let dir = Dir::new();
        assert!(matches!(WorldCa::create(&dir.0, world), Err(PkiError::BadName { .. })), "{world:?}");
    }
}

/// `what` must be refused, in words that hold all of `parts`.
fn refused<T>(what: Result<T, PkiError>, parts: &[&str]) {
    let message = what.err().expect("a refusal").to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn authorities_that_cannot_be_right_are_refused_with_the_file_and_the_remedy() {
    let dir = Dir::new();
    refused(WorldCa::open(&dir.0), &["cannot read", "ca.pem"]);
    WorldCa::create(&dir.0, "shop").unwrap();
    refused(WorldCa::create(&dir.0, "shop"), &["ca.pem is already there", "choose another directory"]);
    refused(WorldCa::open_or_create(&dir.0, "bank"), &["world `shop`, not of `bank`", "data directory of `bank`"]);

    let files = WorldCa::open(&dir.0).unwrap().issue(&region("eu-west"), &[]).unwrap();
    let ca_pem = fs::read(dir.path("ca.pem")).unwrap();
    fs::copy(&files.cert, dir.path("ca.pem")).unwrap();
    refused(WorldCa::open(&dir.0), &["ca.pem is not usable", "not the certificate of a world's authority"]);
    fs::write(dir.path("ca.pem"), &ca_pem[..ca_pem.len() / 2]).unwrap();
    refused(WorldCa::open(&dir.0), &["ca.pem is not usable", "holds no certificate", "put back"]);
    fs::write(dir.path("ca.pem"), &ca_pem).unwrap();
    fs::copy(&files.key, dir.path("ca.key")).unwrap();
    refused(WorldCa::open(&dir.0), &["ca.key is not usable", "not the key of"]);
    fs::write(dir.path("ca.key"), b"\xff\x00").unwrap();
    refused(WorldCa::open(&dir.0), &["ca.key is not usable", "not a PEM file"]);
}

#[test]
fn a_creation_that_was_cut_short_is_taken_up_with_the_same_key() {
    let dir = Dir::new();
    let files = WorldCa::create(&dir.0, "shop").unwrap().issue(&region("eu-west"), &[]).unwrap();
    fs::remove_file(dir.path("ca.pem")).unwrap();
    WorldCa::open_or_create(&dir.0, "shop").unwrap();
    assert_eq!(*load(&files).principal(), region("eu-west"));
}

#[test]
fn names_that_could_pass_for_another_are_not_issued() {
    let dir = Dir::new();
    let ca = WorldCa::create(&dir.0, "shop").unwrap();
    for name in ["", "a.b", "eu-west.region.atoll", "../ca", "UPPER", "-a", "a-", &"x".repeat(64)] {
        assert!(matches!(ca.issue(&region(name), &[]), Err(PkiError::BadName { .. })), "{name:?}");
    }
}

#[test]
fn dns_names_and_principals_are_two_forms_of_one_thing() {
    for who in [region("eu-west"), admin("ops")] {
        assert_eq!(Principal::from_dns_name(&who.dns_name()), Some(who));
    }
    for other in ["eu-west", ".region.atoll", "a.b.region.atoll", "ops.admin.atoll.test", "x.region.atoll.admin.atoll"]
    {
        assert_eq!(Principal::from_dns_name(other), None, "{other}");
    }
}

#[test]
fn identities_that_do_not_fit_together_are_refused_at_load() {
    let (ours, theirs) = (Dir::new(), Dir::new());
    let a = WorldCa::create(&ours.0, "shop").unwrap().issue(&region("eu-west"), &[]).unwrap();
    // The same world's name, but another key.
    let b = WorldCa::create(&theirs.0, "shop").unwrap().issue(&region("eu-west"), &[]).unwrap();
    refused(Identity::load(&a.ca, &b.cert, &b.key), &["not a valid certificate of", "issue it anew"]);
    refused(Identity::load(&a.ca, &a.cert, &b.key), &["eu-west.region.key is not usable", "does not fit"]);
    refused(Identity::load(&a.ca, &a.key, &a.key), &["eu-west.region.key is not usable", "holds no certificate"]);
    refused(Identity::load(&a.ca, &a.cert, &ours.path("none.key")), &["cannot read", "none.key"]);
}

#[test]
fn a_token_comes_back_from_its_file_and_only_its_hash_is_needed_to_know_it() {
    let dir = Dir::new();
    let token = AdminToken::create(&dir.path("admin.token")).unwrap();
    let loaded = AdminToken::load(&dir.path("admin.token")).unwrap();
    assert_eq!(token.secret(), loaded.secret());
    token.hash().save(&dir.path("admin.hash")).unwrap();
    let hash = TokenHash::load(&dir.path("admin.hash")).unwrap();
    assert!(hash.admits(token.secret()));
    let other = AdminToken::create(&dir.path("other.token")).unwrap();
    for wrong in ["", "atoll_", &token.secret()[1..], other.secret(), &hash.to_string()] {
        assert!(!hash.admits(wrong), "{wrong}");
    }
    assert!(!format!("{token:?}").contains(token.secret()));
}

#[test]
fn files_that_hold_no_token_or_hash_are_refused() {
    let dir = Dir::new();
    let file = dir.path("file");
    for text in ["", "atoll_", "hunter2", &format!("atoll_{}", "g".repeat(64)), &format!("sha256:{}", "é".repeat(32))]
    {
        fs::write(&file, text).unwrap();
        refused(AdminToken::load(&file), &["does not hold a token"]);
        refused(TokenHash::load(&file), &["does not hold `sha256:`"]);
    }
}

/// One handshake over TCP and one byte each way, so that both ends have verified each other.
/// Yields whom the server saw, or the first end's error.
async fn handshake(
    server: std::sync::Arc<rustls::ServerConfig>,
    client: std::sync::Arc<rustls::ClientConfig>,
    expect: &str,
) -> Result<Option<Principal>, std::io::Error> {
    let listener = TcpListener::bind((LOCAL, 0)).await?;
    let address = listener.local_addr()?;
    let name = region_server_name(expect);
    let dial = async {
        let mut tls = TlsConnector::from(client).connect(name, TcpStream::connect(address).await?).await?;
        tls.write_all(b"?").await?;
        // TLS 1.3 clients learn only here whether their certificate was accepted.
        tls.read_u8().await
    };
    let answer = async {
        let (tcp, _) = listener.accept().await?;
        let mut tls = TlsAcceptor::from(server).accept(tcp).await?;
        tls.read_u8().await?;
        tls.write_all(b"!").await?;
        let who = peer_principal(tls.get_ref().1.peer_certificates().unwrap_or_default());
        std::io::Result::Ok(who)
    };
    let (dialled, answered) = tokio::join!(dial, answer);
    dialled?;
    answered
}

#[tokio::test]
async fn members_of_a_world_know_each_other_by_name_and_strangers_are_refused() {
    let (ours, theirs) = (Dir::new(), Dir::new());
    let ca = WorldCa::create(&ours.0, "shop").unwrap();
    let eu = load(&ca.issue(&region("eu-west"), &[LOCAL]).unwrap());
    let us = load(&ca.issue(&region("us-east"), &[LOCAL]).unwrap());
    let ops = load(&ca.issue(&admin("ops"), &[]).unwrap());
    let stranger = load(&WorldCa::create(&theirs.0, "shop").unwrap().issue(&region("us-east"), &[LOCAL]).unwrap());
    let token_only = ca_client_config(&ca.ca_pem_path(), &[b"h2"]).unwrap();

    let server = |who: &Identity, auth| who.server_config(&[b"h2"], auth).unwrap();
    let client = |who: &Identity| who.client_config(&[b"h2"]).unwrap();
    use ClientAuth::{Optional, Required};

    let seen = |who| handshake(server(&eu, Required), client(who), "eu-west");
    assert_eq!(seen(&us).await.unwrap(), Some(region("us-east")));
    assert_eq!(seen(&ops).await.unwrap(), Some(admin("ops")));
    seen(&stranger).await.expect_err("a client certificate of another authority");
    handshake(server(&eu, Optional), client(&stranger), "eu-west").await.expect_err("wrong is worse than none");
    assert_eq!(handshake(server(&eu, Optional), token_only.clone(), "eu-west").await.unwrap(), None);
    handshake(server(&eu, Required), token_only, "eu-west").await.expect_err("no certificate where one is required");
    handshake(server(&stranger, Optional), client(&us), "us-east").await.expect_err("a server of another authority");
    handshake(server(&eu, Required), client(&us), "us-east").await.expect_err("the right world, the wrong region");
    handshake(server(&eu, Required), client(&us), "not a name").await.expect_err("a text that names no region");
    handshake(server(&ops, Required), client(&us), "ops").await.expect_err("an admin is never a server");
}

#[test]
fn a_secret_is_the_same_in_each_life_and_differs_by_purpose_and_key() {
    let dir = Dir::new();
    let ca = WorldCa::create(&dir.0, "shop").unwrap();
    let [eu, us] = ["eu-west", "us-east"].map(|name| ca.issue(&region(name), &[LOCAL]).unwrap());
    let (one, again, other) = (load(&eu), load(&eu), load(&us));
    assert_eq!(one.secret("resets"), again.secret("resets"));
    assert_ne!(one.secret("resets"), one.secret("tokens"));
    assert_ne!(one.secret("resets"), other.secret("resets"));
}
