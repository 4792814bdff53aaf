//! The floor: a loop that receives datagrams with `recvmmsg` and sends each back with `sendmmsg`, its QR bit set. No DNS at all.
//! What a server costs above it is its own work; below it nothing that answers over sockets can come.
//!
//! Made apart from the server's own loop, so that a fault of that one is not in its measure.

#![allow(
    unsafe_code,
    reason = "recvmmsg and sendmmsg take arrays of pointers; all of them point into arrays that live as long as the loop"
)]

use std::{
    io::{self, Write},
    mem::{size_of, zeroed},
    net::UdpSocket,
    os::fd::AsRawFd,
    ptr,
};

use anyhow::Context;

const BATCH: usize = 64;
const LONGEST: usize = 512;
/// As the server's buffer: `net.core.rmem_max` is what counts.
const SOCKET_BUFFER: libc::c_int = 1 << 20;

/// Echoes for ever; the first line on stdout is the address.
pub(super) fn serve() -> anyhow::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?;
    let bytes = SOCKET_BUFFER;
    // SAFETY: the option's value is a c_int that lives during the call.
    unsafe {
        let value = (&raw const bytes).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, value, size_of::<libc::c_int>() as _);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", socket.local_addr()?).and_then(|()| out.flush()).context("telling the bench the address")?;
    echo(&socket)
}

fn echo(socket: &UdpSocket) -> anyhow::Result<()> {
    let mut packets = vec![[0_u8; LONGEST]; BATCH];
    // SAFETY: plain C structures, for which zeros are a value.
    let (source, header): (libc::sockaddr_in, libc::mmsghdr) = unsafe { (zeroed(), zeroed()) };
    let mut sources = vec![source; BATCH];
    let mut vectors: Vec<libc::iovec> =
        packets.iter_mut().map(|p| libc::iovec { iov_base: p.as_mut_ptr().cast(), iov_len: LONGEST }).collect();
    let mut headers = vec![header; BATCH];
    for (i, header) in headers.iter_mut().enumerate() {
        header.msg_hdr.msg_name = (&raw mut sources[i]).cast();
        header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as _;
        header.msg_hdr.msg_iov = &raw mut vectors[i];
        header.msg_hdr.msg_iovlen = 1;
    }
    loop {
        // SAFETY: as many headers are there, and all that they point to lives as long as this loop.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as _,
                libc::MSG_WAITFORONE as _,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error()).context("recvmmsg")?;
        for (packet, (vector, header)) in packets.iter_mut().zip(vectors.iter_mut().zip(&headers)).take(count) {
            packet[2] |= 0x80;
            vector.iov_len = header.msg_len as usize;
        }
        // SAFETY: as above. What is not sent is lost, and counted by the load generator.
        unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as _, 0) };
        vectors[..count].iter_mut().for_each(|vector| vector.iov_len = LONGEST);
    }
}
