//! HTTPS as clients see it: names, protocols, files that change, hosts that a certificate does not cover.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use gateway::{CertificateFiles, TlsConfig};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
    crypto::ring::default_provider,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    frames::{self, END_HEADERS, END_STREAM, GET, HEADERS, SETTINGS, block},
    support::{PATIENCE, TestWorker, World, text, until, worker},
};

/// An authority and a directory of the certificates that it made.
pub(crate) struct Authority {
    dir: PathBuf,
    root: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("atoll-gateway-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        Self { dir, root, issuer: Issuer::new(params, key) }
    }

    /// Makes a certificate for these names, valid until then, in files of that name.
    pub(crate) fn issue(&self, file: &str, names: &[&str], not_after: i64) -> CertificateFiles {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = time::OffsetDateTime::from_unix_timestamp(not_after).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = CertificateFiles {
            certificate: self.dir.join(format!("{file}.pem")),
            key: self.dir.join(format!("{file}.key")),
        };
        fs::write(&files.certificate, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    /// The file of its own certificate.
    pub(crate) fn root_file(&self) -> String {
        let file = self.dir.join("root.pem");
        fs::write(&file, self.root.pem()).unwrap();
        file.display().to_string()
    }

    fn client(&self, versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }
}

pub(crate) const LATE: i64 = 4_000_000_000;

async fn world(certificates: Vec<CertificateFiles>, change: impl FnOnce(&mut TlsConfig)) -> (World, TestWorker) {
    let mut tls = TlsConfig::new("127.0.0.1:0".parse().unwrap(), certificates);
    tls.reload_every = Duration::from_secs(3600);
    change(&mut tls);
    let world = World::configured(|config| config.tls = Some(tls)).await;
    let echo = worker(async |request| {
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        text(format!("{} {}", header("host"), header("x-forwarded-proto")))
    })
    .await;
    world.set_workers(&[echo.address]);
    (world, echo)
}

async fn connect(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    timeout(PATIENCE, TlsConnector::from(Arc::clone(config)).connect(name, stream)).await.unwrap()
}

/// Asks on HTTP/1.1; the whole answer. The gateway must end the connection with close_notify, else reading is an error.
async fn ask(stream: &mut TlsStream<TcpStream>, host: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

/// The names on the certificate that a client is shown for a name.
async fn shown(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> Result<Vec<String>, String> {
    let stream = connect(address, config, name).await.map_err(|error| error.to_string())?;
    let first = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let parsed = webpki::EndEntityCert::try_from(&first).unwrap();
    Ok(parsed.valid_dns_names().map(str::to_owned).collect())
}

#[tokio::test]
async fn a_certificate_is_chosen_by_name() {
    let authority = Authority::new("names");
    let first = authority.issue("first", &["shop.test", "www.shop.test"], LATE);
    let wild = authority.issue("wild", &["*.cdn.test"], LATE);
    let exact = authority.issue("exact", &["img.cdn.test"], LATE);
    let (world, _echo) = world(vec![first, wild, exact], |_| {}).await;
    let address = world.gateway.tls_addr().unwrap();
    let client = authority.client(&[&TLS13], &[]);
    for (name, expected) in [
        ("shop.test", "shop.test"),
        ("WWW.shop.test", "shop.test"),
        ("a.cdn.test", "*.cdn.test"),
        ("img.cdn.test", "img.cdn.test"),
    ] {
        assert_eq!(shown(address, &client, name).await.unwrap()[0], expected, "{name}");
    }
    // The first one is for everybody else; the client does not believe it.
    for name in ["a.b.cdn.test", "cdn.test", "other.test"] {
        let refused = shown(address, &client, name).await.unwrap_err();
        assert!(refused.contains("NotValidForName") || refused.contains("not valid for name"), "{name}: {refused}");
    }
}

#[tokio::test]
async fn both_versions_both_protocols_and_tickets() {
    let authority = Authority::new("versions");
    let (world, _echo) = world(vec![authority.issue("a", &["shop.test"], LATE)], |_| {}).await;
    let address = world.gateway.tls_addr().unwrap();
    for (version, expected) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let client = authority.client(&[version], &[b"http/1.1"]);
        let mut kinds = Vec::new();
        for turn in 0..2 {
            let mut stream = connect(address, &client, "shop.test").await.unwrap();
            let session = stream.get_ref().1;
            assert_eq!((session.protocol_version(), session.alpn_protocol()), (Some(expected), Some(&b"http/1.1"[..])));
            let answer = ask(&mut stream, "shop.test").await;
            assert!(answer.ends_with("shop.test https"), "{answer}");
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
            if turn == 0 {
                // Tickets outlive a look at the files.
                world.gateway.reload_certificates().await;
            }
        }
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed], "{expected:?}");
    }
    let client = authority.client(&[&TLS13], &[b"h2", b"http/1.1"]);
    let stream = connect(address, &client, "shop.test").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert!(connect(address, &authority.client(&[&TLS13], &[b"spdy/3"]), "shop.test").await.is_err());
    assert_eq!(world.metric("connections_cut_total{reason=\"handshake\"}"), 1.0);
}

/// One request on HTTP/2 over TLS: its status.
async fn status_of(stream: &mut TlsStream<TcpStream>, id: u32, host: &str) -> u16 {
    let mut fields = GET;
    fields[1].1 = "https";
    fields[2].1 = host;
    if id == 1 {
        stream.write_all(frames::PREFACE).await.unwrap();
        stream.write_all(&frames::frame(SETTINGS, 0, 0, &frames::setting(1, 0))).await.unwrap();
    }
    stream.write_all(&frames::frame(HEADERS, END_HEADERS | END_STREAM, id, &block(&fields))).await.unwrap();
    loop {
        let mut head = [0; 9];
        timeout(PATIENCE, stream.read_exact(&mut head)).await.unwrap().unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        timeout(PATIENCE, stream.read_exact(&mut payload)).await.unwrap().unwrap();
        let frame = frames::Frame { kind: head[3], flags: head[4], stream: u32::from(head[8]), payload };
        if frame.kind == HEADERS && frame.stream == id {
            return frame.status();
        }
    }
}

#[tokio::test]
async fn a_host_that_the_certificate_does_not_cover_is_misdirected() {
    let authority = Authority::new("misdirected");
    let shop = authority.issue("shop", &["shop.test", "*.shop.test"], LATE);
    let other = authority.issue("other", &["other.test"], LATE);
    let (world, _echo) = world(vec![shop, other], |_| {}).await;
    let address = world.gateway.tls_addr().unwrap();
    let client = authority.client(&[&TLS13], &[b"h2"]);
    let mut stream = connect(address, &client, "shop.test").await.unwrap();
    for (id, host, expected) in [
        (1, "shop.test", 200),
        (3, "SHOP.test:443", 200),
        (5, "img.shop.test", 200),
        (7, "other.test", 421),
        (9, "a.b.shop.test", 421),
        (11, "unknown.test", 421),
        (13, "shop.test", 200),
    ] {
        assert_eq!(status_of(&mut stream, id, host).await, expected, "{host}");
    }
    assert_eq!(world.metric("misdirected_total"), 3.0);
}

#[tokio::test]
async fn changed_files_are_served_and_broken_ones_are_not() {
    let authority = Authority::new("reload");
    let files = authority.issue("a", &["shop.test"], LATE);
    let (world, _echo) = world(vec![files.clone()], |tls| tls.reload_every = Duration::from_millis(50)).await;
    let address = world.gateway.tls_addr().unwrap();
    let client = authority.client(&[&TLS13], &[]);
    let file = files.certificate.display().to_string();
    let expiry = || world.metric(&format!("tls_certificate_expiry_seconds{{file=\"{file}\"}}"));
    assert_eq!(expiry(), LATE as f64);
    let mut before = connect(address, &client, "shop.test").await.unwrap();
    // Its file alone is written first, as renewals do: the pair does not fit for a moment, and the old one is served.
    let (old_certificate, old_key) = (fs::read(&files.certificate).unwrap(), fs::read(&files.key).unwrap());
    authority.issue("a", &["shop.test", "new.test"], LATE + 1000);
    let new_key = fs::read(&files.key).unwrap();
    fs::write(&files.key, &old_key).unwrap();
    let reloaded = world.gateway.reload_certificates().await;
    assert_eq!((reloaded.changed, reloaded.failed.len()), (0, 1));
    let text = reloaded.failed[0].to_string();
    assert!(text.contains(&files.key.display().to_string()) && text.contains("not the key of"), "{text}");
    assert_eq!(shown(address, &client, "shop.test").await.unwrap(), ["shop.test"]);
    assert_eq!(world.metric(&format!("tls_certificate_broken{{file=\"{file}\"}}")), 1.0);
    // Whole again: taken in without anybody's call.
    fs::write(&files.key, &new_key).unwrap();
    until("the new one is served", || expiry() == (LATE + 1000) as f64).await;
    assert_eq!(shown(address, &client, "new.test").await.unwrap(), ["shop.test", "new.test"]);
    assert!(world.metric("tls_reload_failures_total") >= 1.0);
    // Nonsense and nothing leave it in place; each is named.
    for (content, word) in
        [(Some(&b"not PEM"[..]), "no certificate"), (Some(&old_certificate[..40]), "PEM"), (None, "cannot be read")]
    {
        match content {
            Some(content) => fs::write(&files.certificate, content).unwrap(),
            None => fs::remove_file(&files.certificate).unwrap(),
        }
        let reloaded = world.gateway.reload_certificates().await;
        let text = reloaded.failed[0].to_string();
        assert!(text.contains(&file) && text.contains(word), "{word}: {text}");
        assert_eq!(shown(address, &client, "new.test").await.unwrap(), ["shop.test", "new.test"]);
    }
    let answer = ask(&mut before, "shop.test").await;
    assert!(answer.ends_with("shop.test https"), "connections outlive a reload: {answer}");
}

#[tokio::test]
async fn a_gateway_does_not_start_with_a_broken_certificate() {
    let authority = Authority::new("start");
    let mut files = authority.issue("a", &["shop.test"], LATE);
    files.key = authority.issue("b", &["shop.test"], LATE).key;
    let tls = TlsConfig::new("127.0.0.1:0".parse().unwrap(), vec![files.clone()]);
    let error = World::try_configured(|config| config.tls = Some(tls)).await.err().unwrap().to_string();
    assert!(error.contains(&files.key.display().to_string()), "{error}");
}

#[tokio::test]
async fn a_handshake_has_its_time_and_nonsense_is_no_handshake() {
    let authority = Authority::new("handshake");
    let tls = TlsConfig::new("127.0.0.1:0".parse().unwrap(), vec![authority.issue("a", &["shop.test"], LATE)]);
    let world = World::configured(|config| {
        config.tls = Some(tls);
        config.limits.header_timeout = Duration::from_millis(500);
    })
    .await;
    let address = world.gateway.tls_addr().unwrap();
    // Nothing, half a client hello, plain HTTP.
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(bytes).await.unwrap();
        let mut sink = Vec::new();
        let _ = timeout(PATIENCE, client.read_to_end(&mut sink)).await.expect("the gateway hangs up");
    }
    assert_eq!(world.metric("connections_cut_total{reason=\"handshake\"}"), 3.0);
    // Behind the handshake, the first request has its time too.
    let client = authority.client(&[&TLS13], &[]);
    let mut stream = connect(address, &client, "shop.test").await.unwrap();
    stream.write_all(b"GET / HT").await.unwrap();
    let mut sink = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut sink)).await.expect("the gateway hangs up");
    until("it is counted", || world.metric("connections_cut_total{reason=\"head\"}") == 1.0).await;
}

#[tokio::test]
async fn plain_http_is_sent_to_https_if_that_is_wanted() {
    let authority = Authority::new("redirect");
    let (world, _echo) = world(vec![authority.issue("a", &["shop.test"], LATE)], |tls| tls.redirect = true).await;
    let port = world.gateway.tls_addr().unwrap().port();
    let answer = world.get("/a?b=c", &[]).await;
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), Some(&*format!("https://shop.test:{port}/a?b=c")));
    assert_eq!(answer.header("x-atoll-region"), Some("us-east"));
    assert_eq!(world.get("/healthz", &[]).await.status, 200, "probes come without TLS");
}

#[tokio::test]
async fn a_parked_connection_serves_again_and_ends_with_a_word() {
    let authority = Authority::new("parked");
    let (world, _echo) = world(vec![authority.issue("a", &["shop.test"], LATE)], |_| {}).await;
    let client = authority.client(&[&TLS13], &[]);
    let mut secure = connect(world.gateway.tls_addr().unwrap(), &client, "shop.test").await.unwrap();
    let mut plain = TcpStream::connect(world.address()).await.unwrap();
    for turn in 0..3 {
        // In two pieces: the byte that wakes it, and the rest.
        for piece in [&b"G"[..], b"ET / HTTP/1.1\r\nhost: shop.test\r\n\r\n"] {
            secure.write_all(piece).await.unwrap();
            plain.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        for stream in [&mut secure as &mut (dyn tokio::io::AsyncRead + Unpin), &mut plain] {
            let mut answer = Vec::new();
            while !answer.windows(9).any(|window| window == b"shop.test") {
                let read = timeout(PATIENCE, stream.read_buf(&mut answer)).await.unwrap().unwrap();
                assert!(read > 0, "turn {turn}: {}", answer.escape_ascii());
            }
        }
        until("both are parked", || world.metric("connections_parked") == 2.0).await;
    }
    // What is wrong is wrong behind a pause too.
    plain.write_all(b"GET / HTTP/1.1\r\nhost: a\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, plain.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.contains("HTTP/1.1 400"), "{answer}");
    let shutdown = tokio::spawn(world.gateway.shutdown(PATIENCE));
    // Without close_notify this is an error.
    let mut rest = Vec::new();
    timeout(PATIENCE, secure.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(shutdown.await.unwrap());
}

#[tokio::test]
async fn a_websocket_passes_through_tls() {
    let authority = Authority::new("websocket");
    let (world, _echo) = world(vec![authority.issue("a", &["shop.test"], LATE)], |_| {}).await;
    let live = crate::support::raw_worker(async |mut stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    })
    .await;
    world.set_workers(&[live.address]);
    let client = authority.client(&[&TLS13], &[b"http/1.1"]);
    let mut stream = connect(world.gateway.tls_addr().unwrap(), &client, "shop.test").await.unwrap();
    let head = "GET /live HTTP/1.1\r\nhost: shop.test\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        assert!(timeout(PATIENCE, stream.read_buf(&mut answer)).await.unwrap().unwrap() > 0);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", answer.escape_ascii());
    // Bytes that are no HTTP, lines of LF alone among them: nobody looks at them any more.
    let bytes = b"\x81\x05he\nlo\n\n\0\r\nGET / HTTP/1.1\n\n".repeat(2000);
    let (mut from, mut to) = tokio::io::split(stream);
    let mut echo = vec![0; bytes.len()];
    let (sent, read) = tokio::join!(to.write_all(&bytes), timeout(PATIENCE, from.read_exact(&mut echo)));
    sent.unwrap();
    read.unwrap().unwrap();
    assert!(echo == bytes);
}
