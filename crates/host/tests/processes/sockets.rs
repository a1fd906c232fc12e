//! The other end of a connection.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;

use host::Seen;
use host::process::{children, this};
use host::socket::owners_of;

use crate::real::{Running, Tree, again, known, told};

#[test]
fn the_other_end_leads_to_the_process_that_holds_it() {
    if let Some(address) = told("CONNECT") {
        let mut stream = TcpStream::connect(address).unwrap();
        // Until the other end, or this process, is ended.
        stream.read_to_end(&mut Vec::new()).ok();
        return;
    }
    for address in ["127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let here = listener.local_addr().unwrap();
        let reached = SocketAddr::new(here.ip().to_canonical(), here.port());
        let tree = Tree::new();
        let test = "sockets::the_other_end_leads_to_the_process_that_holds_it";
        let running = Running::start(again(test, &tree, &[]).env("CONNECT", reached.to_string()));
        let (stream, peer) = listener.accept().unwrap();
        assert_eq!(owners_of(peer, here), Seen::Known(vec![running.id]), "{address}");
        assert_eq!(owners_of(here, peer), Seen::Known(vec![known(this())]), "{address}: our own end");
        running.end();
        assert_eq!(owners_of(peer, here), Seen::Gone, "{address}");
        drop(stream);
    }
}

#[test]
fn a_connection_that_was_left_to_children_has_several_holders() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_kept, peer) = listener.accept().unwrap();
    let script = "exec 3<&0; sleep 600 & echo ready; wait";
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(OwnedFd::from(stream)).stdout(std::process::Stdio::piped());
    let mut parent = Running::start(&mut command);
    drop(command);
    let mut ready = [0; 6];
    parent.child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    let sleeper = known(children(parent.id))[0];
    assert_eq!(owners_of(peer, listener.local_addr().unwrap()), Seen::Known(vec![parent.id, sleeper]));
}

#[test]
fn a_connection_that_is_not_there_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(owners_of(([127, 0, 0, 1], 1).into(), address), Seen::Gone);
}
