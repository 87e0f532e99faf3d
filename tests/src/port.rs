//! Ports for programs that cannot pick one themselves.

use std::net::TcpListener;

/// Returns free ports of the loopback interface.
///
/// Another program may take one before it is used. The kernel hands out the port that was free for
/// longest, so that this is unlikely.
#[must_use]
pub fn free_ports<const N: usize>() -> [u16; N] {
    // Taken together, so that they differ.
    let taken = [0; N].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    taken.map(|listener| listener.local_addr().unwrap().port())
}
