//! What the standards say, as tables of bytes.

mod http1;
mod http2;
