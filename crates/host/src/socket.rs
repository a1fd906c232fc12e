//! Who is at the other end of a connection on this machine.

use std::net::SocketAddr;

use crate::proc::{Folder, Proc};
use crate::process::{self, ProcessId};
use crate::seen::{Blind, Lack, Look, Seen};
use crate::text;
use crate::veil;

/// How often it is looked, if a process may have handed the connection on
/// meanwhile.
const LOOKS: usize = 3;

/// The processes that hold the end `local` of the TCP connection to `remote`,
/// the eldest first.
///
/// They are several where a process has left its connection to its children,
/// and there may be more that cannot be seen. [`Seen::Gone`]: nobody has it,
/// because there is no such connection, or it is closed on that side.
///
/// It looks in the network namespace of this process. To find who is connected
/// to us over loopback, `local` is the address that a listener calls the peer.
pub fn owners_of(local: SocketAddr, remote: SocketAddr) -> Seen<Vec<ProcessId>> {
    let mut last = Lack::Gone;
    for _ in 0..LOOKS {
        match look(local, remote) {
            Err(Lack::Blind(Blind::Raced)) => last = Lack::Blind(Blind::Raced),
            other => return other.into(),
        }
    }
    Err(last).into()
}

fn look(local: SocketAddr, remote: SocketAddr) -> Look<Vec<ProcessId>> {
    let proc = Proc::open()?;
    let net = proc.enter("self/net")?;
    let mut inode = None;
    for table in ["tcp", "tcp6"] {
        match net.read(table, text::TABLE_BYTES) {
            Ok(bytes) => inode = inode.or(text::inode(&bytes, local, remote)),
            // A machine without IPv6.
            Err(Lack::Gone) => {}
            Err(lack) => return Err(lack),
        }
    }
    // Without an inode it is closed, and only remembered for stray packets.
    let Some(inode) = inode.filter(|inode| *inode != 0) else { return Err(Lack::Gone) };
    let name = format!("socket:[{inode}]");
    let mut owners = Vec::new();
    let mut blind = veil::over(&proc);
    for pid in proc.pids()? {
        match holds(&proc, pid, &name) {
            Ok(owner) => owners.extend(owner),
            Err(Lack::Gone) => {}
            Err(Lack::Blind(why)) => blind = Some(why),
        }
    }
    if owners.is_empty() {
        return Err(Lack::Blind(blind.unwrap_or(Blind::Raced)));
    }
    owners.sort_by_key(|owner| (owner.start, owner.pid));
    Ok(owners)
}

/// The process `pid`, if it has open what the kernel calls `name`.
fn holds(proc: &Proc, pid: i32, name: &str) -> Look<Option<ProcessId>> {
    let folder = proc.enter(pid.to_string())?;
    match has_open(&folder, name) {
        Ok(true) => Ok(Some(process::stat(&folder)?.id())),
        Ok(false) => Ok(None),
        // Of one that has ended the system says that we are not allowed.
        Err(lack) if process::stat(&folder)?.has_ended() => match lack {
            Lack::Gone | Lack::Blind(_) => Ok(None),
        },
        Err(lack) => Err(lack),
    }
}

fn has_open(process: &Folder, name: &str) -> Look<bool> {
    let files = process.enter("fd")?;
    for number in files.numbers(".")? {
        match files.link(number.to_string()) {
            Ok(text) if text.as_os_str() == name => return Ok(true),
            Ok(_) | Err(Lack::Gone) => {}
            Err(lack) => return Err(lack),
        }
    }
    Ok(false)
}
