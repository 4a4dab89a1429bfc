//! By which address the other ranks reach this one.

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::ptr;

use super::error::GroupError;

/// What a host name and port lead to.
pub(super) fn resolve(addr: &str, port: u16) -> Result<Vec<SocketAddr>, GroupError> {
    let nothing = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let found = (addr, port).to_socket_addrs().and_then(|found| {
        let found: Vec<SocketAddr> = found.collect();
        if found.is_empty() { Err(nothing()) } else { Ok(found) }
    });
    found.map_err(|source| GroupError::Address { addr: addr.to_owned(), source })
}

/// The address of the interface that was asked for, else the one from which packets to rank 0 are sent.
pub(super) fn own(interface: Option<&str>, addr: &str, rank_0: &[SocketAddr]) -> Result<IpAddr, GroupError> {
    if let Some(name) = interface {
        return of_interface(name).ok_or_else(|| GroupError::Interface { name: name.to_owned() });
    }
    let mut last = None;
    for to in rank_0 {
        match towards(*to) {
            Ok(own) => return Ok(own),
            Err(err) => last = Some(err),
        }
    }
    let source = last.unwrap_or_else(|| io::ErrorKind::NotFound.into());
    Err(GroupError::Address { addr: addr.to_owned(), source })
}

/// Connecting a UDP socket sends nothing, it only chooses the route.
fn towards(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// The first IPv4 address of an interface, else its first global IPv6 one.
fn of_interface(name: &str) -> Option<IpAddr> {
    let mut first = ptr::null_mut();
    // SAFETY: getifaddrs writes a list that is ours until freeifaddrs.
    if unsafe { libc::getifaddrs(&mut first) } != 0 {
        return None;
    }
    let mut found: Vec<IpAddr> = Vec::new();
    let mut entry = first;
    while !entry.is_null() {
        // SAFETY: a node of the list, which lives until freeifaddrs; its name is a C string.
        let (node, is_asked) = unsafe { (&*entry, CStr::from_ptr((*entry).ifa_name).to_bytes() == name.as_bytes()) };
        if is_asked && !node.ifa_addr.is_null() {
            // SAFETY: the family tells which kind of address the pointer leads to.
            let ip = unsafe {
                match i32::from((*node.ifa_addr).sa_family) {
                    libc::AF_INET => {
                        let address = &*node.ifa_addr.cast::<libc::sockaddr_in>();
                        Some(IpAddr::from(address.sin_addr.s_addr.to_ne_bytes()))
                    }
                    libc::AF_INET6 => {
                        let address = &*node.ifa_addr.cast::<libc::sockaddr_in6>();
                        Some(IpAddr::from(address.sin6_addr.s6_addr))
                    }
                    _ => None,
                }
            };
            found.extend(ip);
        }
        entry = node.ifa_next;
    }
    // SAFETY: the list of getifaddrs, freed once.
    unsafe { libc::freeifaddrs(first) };
    let is_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    found.iter().find(|ip| ip.is_ipv4()).or_else(|| found.iter().find(|ip| !is_local(ip))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_and_the_way_to_it_have_its_address() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(own(Some("lo"), "", &[]).unwrap(), loopback);
        assert_eq!(own(None, "", &resolve("127.0.0.1", 1).unwrap()).unwrap(), loopback);
    }

    #[test]
    fn an_interface_that_is_not_there_and_a_name_without_address_are_said() {
        let error = own(Some("lo7"), "", &[]).unwrap_err();
        assert!(matches!(&error, GroupError::Interface { name } if name == "lo7"), "{error}");
        let error = resolve("no host.invalid", 1).unwrap_err();
        assert!(matches!(&error, GroupError::Address { addr, .. } if addr == "no host.invalid"), "{error}");
    }
}
