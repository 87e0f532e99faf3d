//! A relay between a program and a service, which can part them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The interval at which a connection looks for a cut.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const BUFFER_LEN: usize = 64 << 10;

/// A running relay; it ends with the process of the test.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
}

impl Relay {
    /// Starts a relay to the service at `upstream`.
    #[must_use]
    pub fn start(upstream: SocketAddr) -> Self {
        Self::paced(upstream, Duration::ZERO)
    }

    /// Starts a relay that rests for `pause` after each 64 KiB.
    #[must_use]
    pub fn paced(upstream: SocketAddr, pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let is_cut = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&is_cut);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let is_cut = Arc::clone(&shared);
                // The service may refuse the connection, and either side may disconnect.
                std::thread::spawn(move || drop(serve(&client, upstream, &is_cut, pause)));
            }
        });
        Self { address, is_cut }
    }

    /// Returns the address of the relay.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection, and each new one at once.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }

    /// Lets new connections reach the service.
    pub fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

/// Relays one connection to its end.
fn serve(
    client: &TcpStream,
    upstream: SocketAddr,
    is_cut: &Arc<AtomicBool>,
    pause: Duration,
) -> std::io::Result<()> {
    if is_cut.load(Ordering::SeqCst) {
        return Ok(());
    }
    let service = TcpStream::connect(upstream)?;
    let there = (client.try_clone()?, service.try_clone()?);
    let shared = Arc::clone(is_cut);
    std::thread::spawn(move || pass(&there.0, &there.1, &shared, pause));
    pass(&service, client, is_cut, pause);
    Ok(())
}

/// Passes bytes in one direction, then ends the connection.
fn pass(mut from: &TcpStream, mut to: &TcpStream, is_cut: &AtomicBool, pause: Duration) {
    let mut buffer = vec![0; BUFFER_LEN];
    let _ = from.set_read_timeout(Some(LOOK_EVERY));
    while !is_cut.load(Ordering::SeqCst) {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) if to.write_all(&buffer[..len]).is_ok() => {
                std::thread::sleep(pause * u32::try_from(len / 1024).unwrap() / 64);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
