//! Packets: what a query says, and how a reply is put together. No zone, no policy.
//!
//! The envelope is read and written by hand, since every byte of a query comes from strangers: nothing is allocated before
//! it is checked, and the exact rules of EDNS and of client subnets need the bytes themselves. Zone data is encoded by
//! `hickory-proto` when a View is compiled, and the tests have it read every reply.

mod ede;
mod edns;
mod read;
mod write;

pub(crate) use ede::Ede;
pub(crate) use edns::Edns;
pub(crate) use read::{Asked, read};
pub(crate) use write::Reply;

/// Length of the header.
pub(crate) const HEADER: usize = 12;

/// What EDNS-less UDP may carry (RFC 1035, 4.2.1).
pub(crate) const PLAIN_UDP_MAX: usize = 512;

/// What UDP carries at most, whatever a client offers: above it lie fragments, which get lost and get forged.
pub(crate) const UDP_MAX: u16 = 1232;

/// Class IN.
pub(crate) const CLASS_IN: u16 = 1;

/// Class CH, where servers speak of themselves.
pub(crate) const CLASS_CH: u16 = 3;

/// Takes bytes from the head of a slice, never past its end.
#[derive(Clone, Copy)]
pub(crate) struct Taker<'q>(pub(crate) &'q [u8]);

impl<'q> Taker<'q> {
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'q [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|b| b[0])
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.bytes(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }
}
