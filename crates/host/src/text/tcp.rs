//! `/proc/net/tcp` and `/proc/net/tcp6`: the connections of this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::number;

/// The inode of the socket with these two addresses; zero if the connection has
/// no process (any more, or yet).
///
/// An IPv4 address inside an IPv6 one is that IPv4 address. A line that cannot
/// be read is not the one.
pub(crate) fn inode(table: &[u8], local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    let wanted = (plain(local), plain(remote));
    table.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        let ends = (address(fields.nth(1)?)?, address(fields.next()?)?);
        // After the addresses: state, queues, timer, retransmissions, user, timeout.
        let inode = fields.nth(6)?;
        if ends == wanted { number(inode) } else { None }
    })
}

fn plain(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}

/// An address as the kernel writes it: words of 32 bits as the machine has them
/// in memory, each as a number.
fn address(text: &[u8]) -> Option<(IpAddr, u16)> {
    let (host, port) = std::str::from_utf8(text).ok()?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = [0; 16];
    let words = host.as_bytes().chunks(8);
    if !matches!(host.len(), 8 | 32) {
        return None;
    }
    for (place, word) in bytes.chunks_mut(4).zip(words) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        place.copy_from_slice(&word.to_ne_bytes());
    }
    let ip = if host.len() == 8 {
        IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
    } else {
        Ipv6Addr::from(bytes).to_canonical()
    };
    Some((ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    // As a machine with the least byte first writes them.
    #[cfg(target_endian = "little")]
    const TABLE: &[u8] =
        b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0
   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 02:000000A0 00000000    33        0 222 2 0 20 4 30 10 -1
   2: 0100007F:C351 0100007F:1F90 06 00000000:00000000 03:00000A0B 00000000     0        0 0 3 0
   3: 00000000000000000000000001000000:C352 00000000000000000000000001000000:1F90 01 0:0 0:0 0 33 0 333 1
   4: 0000000000000000FFFF00000100007F:C353 0000000000000000FFFF00000100007F:1F90 01 0:0 0:0 0 33 0 444 1
";

    #[cfg(target_endian = "little")]
    #[test]
    fn a_connection_is_found_by_both_its_ends() {
        let check = |local: &str, remote: &str, expect: Option<u64>| {
            assert_eq!(inode(TABLE, local.parse().unwrap(), remote.parse().unwrap()), expect, "{local} {remote}");
        };
        check("127.0.0.1:50000", "127.0.0.1:8080", Some(222));
        check("127.0.0.1:8080", "127.0.0.1:50000", None);
        check("127.0.0.1:50001", "127.0.0.1:8080", Some(0));
        check("[::1]:50002", "[::1]:8080", Some(333));
        check("127.0.0.1:50003", "127.0.0.1:8080", Some(444));
        check("[::ffff:127.0.0.1]:50003", "127.0.0.1:8080", Some(444));
        check("[::ffff:127.0.0.1]:50000", "[::ffff:127.0.0.1]:8080", Some(222));
        check("127.0.0.1:50009", "127.0.0.1:8080", None);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_passed_over() {
        let ends = || (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        for table in ["", "sl", "0: x y", "0: 0100007F:0001 0100007F:0002 01", "0: 0100007:1 é:2 1 2 3 4 5 6 7 8"] {
            assert_eq!(inode(table.as_bytes(), ends().0, ends().1), None, "{table}");
        }
    }
}
