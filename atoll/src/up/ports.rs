//! Are the addresses of a world free, and if not, who has them? Asked before anything is started, so that the answer is one line.

use std::{
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use chaos_wan::Carries;

use super::layout::Layout;
use crate::exit::Misuse;

/// Complains about every address that is taken.
pub(crate) fn check(layout: &Layout) -> Result<(), Misuse> {
    let mut taken = String::new();
    for name in layout.names() {
        let Some(listen) = layout.listen(name) else { continue };
        let wanted = [
            ("gateway", Carries::Tcp, listen.gateway),
            ("gateway's internal names", Carries::Tcp, Layout::internal(&listen)),
            ("Redis protocol", Carries::Tcp, listen.redis),
            ("DNS", Carries::Tcp, listen.dns),
            ("DNS", Carries::Udp, listen.dns),
            ("admin API", Carries::Tcp, listen.admin),
            ("region link", Carries::Udp, listen.link),
        ];
        for (what, carries, at) in wanted {
            if let Err(error) = try_bind(carries, at) {
                let owner = owner(carries, at).unwrap_or_else(|| "not known; another user's process, perhaps".into());
                let _ = write!(taken, "\n  {at}/{} ({what} of {name}): {error}; held by: {owner}", protocol(carries));
            }
        }
    }
    if taken.is_empty() {
        return Ok(());
    }
    Err(Misuse(format!(
        "some addresses of this world are in use:{taken}\nStop what holds them, or run a new world elsewhere: atoll up --data DIR --net 1"
    )))
}

fn try_bind(carries: Carries, at: SocketAddr) -> std::io::Result<()> {
    match carries {
        Carries::Tcp => TcpListener::bind(at).map(drop),
        Carries::Udp => UdpSocket::bind(at).map(drop),
    }
}

fn protocol(carries: Carries) -> &'static str {
    match carries {
        Carries::Tcp => "tcp",
        Carries::Udp => "udp",
    }
}

/// Name and id of the process that holds an IPv4 address, from Linux's /proc. `None` where that cannot be known.
fn owner(carries: Carries, at: SocketAddr) -> Option<String> {
    let SocketAddr::V4(at) = at else { return None };
    let table = fs::read_to_string(format!("/proc/net/{}", protocol(carries))).ok()?;
    let mine = format!("{:08X}:{:04X}", u32::from_ne_bytes(at.ip().octets()), at.port());
    let any = format!("00000000:{:04X}", at.port());
    let listening = |fields: &[&str]| carries == Carries::Udp || fields.get(3) == Some(&"0A");
    let inode = table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = *fields.get(1)?;
        ((local == mine || local == any) && listening(&fields))
            .then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    })?;
    let socket = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.filter_map(Result::ok).find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let holds = fs::read_dir(process.path().join("fd")).ok()?.filter_map(Result::ok);
        let mut links = holds.filter_map(|fd| fs::read_link(fd.path()).ok());
        links.any(|link| link.as_os_str() == socket.as_str()).then(|| {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            format!("process {pid} ({})", name.trim())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_port_is_named() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = owner(Carries::Tcp, tcp.local_addr().unwrap()).unwrap();
        assert!(text.starts_with(&format!("process {} (", std::process::id())), "{text}");
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(owner(Carries::Udp, udp.local_addr().unwrap()).is_some());
    }
}
