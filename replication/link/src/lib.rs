//! Region links: QUIC with mutual TLS, batching, catch-up, watermarks.
