//! HTTP/1.1 towards a worker, our own half: the framing of RFC 9112 is kept here and only here.
//!
//! ```text
//! request head ─ encode ─┐                       ┌─ head ─ status, headers, framing
//! request body ─ encode ─┴─▶ exchange ◀─ socket ─┴─ decode ─ pieces of the body, trailers
//! ```
//!
//! hyper's client needs a task of its own for each connection and two hops through channels for each request. Here a request reads
//! and writes inside its own task, which saves a quarter of what it costs, and it knows what a retry must know: whether
//! the connection had been used before, whether anything was sent, whether anything came back.
//!
//! `head`, `decode` and `encode` are pure: bytes in, bytes out, tested with every split of the bytes and against hyper's client.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod exchange;
pub(crate) mod head;

#[cfg(test)]
mod tests;
