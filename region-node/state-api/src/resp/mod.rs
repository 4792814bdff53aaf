//! RESP, the Redis serialization protocol, versions 2 and 3.
//!
//! Bytes of a socket go into a [`Decoder`], whole commands come out; replies go into a [`Writer`], bytes for the socket come
//! out. Nothing here knows a command, a key or a socket. Whatever a peer may claim is bounded before it is believed
//! ([`Limits`]), and a command is understood once however many reads it took to arrive.

mod decode;
mod double;
mod encode;
mod inline;
mod number;
#[cfg(test)]
mod tests;

pub(crate) use decode::{Decoder, Step};
pub(crate) use double::{Double, parse_bound, parse_f64};
pub(crate) use encode::{Protocol, Writer};
pub(crate) use inline::split_words;
pub(crate) use number::{Decimal, parse_i64};

/// What one connection may ask the decoder to hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Arguments of one command, its name included.
    pub(crate) arguments: usize,
    /// Bytes of one argument.
    pub(crate) bulk: usize,
    /// Bytes of one line: an inline command, or the count in front of a command or an argument.
    pub(crate) line: usize,
    /// Bytes of one command that has not arrived completely.
    pub(crate) query: usize,
}

impl Limits {
    /// What is documented for users, by default: keys are bounded separately, by the commands that take them.
    pub(crate) const DEFAULT: Self = Self { arguments: 1 << 20, bulk: 8 << 20, line: 64 << 10, query: 64 << 20 };

    /// What a peer that has not said its password may send: as much as a password needs, as in Redis.
    pub(crate) const UNAUTHENTICATED: Self = Self { arguments: 10, bulk: 16 << 10, ..Self::DEFAULT };
}
