//! A listener on every address of a machine, of either family.
//!
//! A pod has IPv4 addresses, IPv6 addresses or both, and the kubelet, the operator and Prometheus use the first of
//! them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};

use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket};

/// As tokio's own.
const BACKLOG: u32 = 1024;

/// Listens on that address. `[::]` stands for all addresses of both families, and on a machine without IPv6 for all
/// that it has.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match address {
        SocketAddr::V6(any) if any.ip().is_unspecified() => match both_families(any) {
            Err(error) if lacks_ipv6(&error) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, any.port())).await,
            outcome => outcome,
        },
        one => TcpListener::bind(one).await,
    }
}

/// Whatever the machine's `net.ipv6.bindv6only` says.
fn both_families(any: SocketAddrV6) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v6()?;
    socket.set_reuseaddr(true)?;
    set_ipv6_v6only(&socket, false)?;
    socket.bind(any.into())?;
    socket.listen(BACKLOG)
}

/// The kernel knows no IPv6 (`ipv6.disable=1`), or no interface has it.
fn lacks_ipv6(error: &io::Error) -> bool {
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use tokio::net::TcpStream;

    use super::*;

    async fn answers(ip: IpAddr, port: u16) -> bool {
        TcpStream::connect((ip, port)).await.is_ok()
    }

    #[tokio::test]
    async fn case_12_all_addresses_are_those_of_both_families() {
        let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
        let door = listen("[::]:0".parse().unwrap()).await.unwrap();
        let port = door.local_addr().unwrap().port();
        assert!(answers(v4, port).await);
        // A machine without IPv6 has no such address to ask at.
        let has_ipv6 = TcpListener::bind((v6, 0)).await.is_ok();
        assert_eq!(answers(v6, port).await, has_ipv6);
    }

    #[tokio::test]
    async fn an_address_that_somebody_names_is_the_only_one() {
        let door = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        assert_eq!(door.local_addr().unwrap().ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn only_what_says_that_there_is_no_ipv6_leads_to_ipv4_alone() {
        let error = |errno: Errno| io::Error::from(errno);
        assert!(lacks_ipv6(&error(Errno::AFNOSUPPORT)) && lacks_ipv6(&error(Errno::ADDRNOTAVAIL)));
        assert!(!lacks_ipv6(&error(Errno::ADDRINUSE)) && !lacks_ipv6(&error(Errno::ACCESS)));
    }
}
