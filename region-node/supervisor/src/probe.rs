//! One health check: an HTTP GET, of which only the status line is read, or a connection.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Whether the worker is ready: 2xx at `path`, or 404 there, which says that it listens and knows no such path.
pub(crate) async fn passes(address: SocketAddr, path: &str, limit: Duration) -> bool {
    match timeout(limit, status(address, path)).await {
        Ok(Ok(status)) => (200..300).contains(&status) || status == 404,
        Ok(Err(_)) | Err(_) => false,
    }
}

/// Whether the worker accepts connections.
pub(crate) async fn accepts(address: SocketAddr, limit: Duration) -> bool {
    matches!(timeout(limit, TcpStream::connect(address)).await, Ok(Ok(_)))
}

async fn status(address: SocketAddr, path: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: atoll\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    // "HTTP/1.1 200": the digits are all that counts.
    let mut line = [0; 12];
    stream.read_exact(&mut line).await?;
    parse(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
}

fn parse(line: &[u8; 12]) -> Option<u16> {
    let text = std::str::from_utf8(line).ok()?;
    text.strip_prefix("HTTP/1.")?.get(2..)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_digits_of_an_http_answer_count() {
        assert_eq!(parse(b"HTTP/1.1 200"), Some(200));
        assert_eq!(parse(b"HTTP/1.0 404"), Some(404));
        assert_eq!(parse(b"HTTP/1.1 xxx"), None);
        assert_eq!(parse(b"SSH-2.0-Open"), None);
        assert_eq!(parse(b"HTTP/1.\xc3\xa9 20"), None);
    }
}
