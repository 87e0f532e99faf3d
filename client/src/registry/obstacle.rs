//! The obstacles between this host and a registry, derived from connection errors.

use std::error::Error;
use std::io;

use rustls::Error as TlsError;

/// The obstacle to a request, as far as the next step depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Obstacle {
    /// TLS was spoken to something that speaks plain HTTP.
    NoTls,
    /// HTTP was spoken to something that speaks another protocol, perhaps TLS.
    NoHttp,
    /// This host does not trust the certificate for the requested name.
    Untrusted,
    /// TLS failed for another permanent reason.
    Tls,
    /// No host has the requested name.
    NoSuchHost,
    /// This host forbids the connection, by a firewall or a sandbox.
    Forbidden,
    /// Any transient obstacle.
    Passing,
}

impl Obstacle {
    /// Classifies an error by its chain of causes.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        let mut next: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = next {
            let io = error.downcast_ref::<io::Error>();
            if let Some(tls) = tls_error(error) {
                return Self::of_tls(tls);
            }
            if io.is_some_and(|io| io.kind() == io::ErrorKind::PermissionDenied) {
                return Self::Forbidden;
            }
            let text = error.to_string();
            if NO_SUCH_HOST.iter().any(|it| text.contains(it)) {
                return Self::NoSuchHost;
            }
            if NO_HTTP.iter().any(|it| text.contains(it)) {
                return Self::NoHttp;
            }
            next = error.source();
        }
        Self::Passing
    }

    fn of_tls(error: &TlsError) -> Self {
        match error {
            TlsError::InvalidMessage(_) => Self::NoTls,
            TlsError::InvalidCertificate(_) | TlsError::NoCertificatesPresented => Self::Untrusted,
            _ => Self::Tls,
        }
    }
}

/// Returns a TLS error: `error` itself, or one nested in I/O errors. An error wrapped by an I/O
/// error is missing from the chain of causes, where only its own source appears.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let mut inner = error;
    loop {
        if let Some(tls) = inner.downcast_ref::<TlsError>() {
            return Some(tls);
        }
        inner = inner.downcast_ref::<io::Error>()?.get_ref()?;
    }
}

/// Messages of resolvers (glibc, musl) for a permanent failure.
const NO_SUCH_HOST: [&str; 3] =
    ["Name or service not known", "No address associated with hostname", "Name does not resolve"];
/// Messages of hyper for bytes that are not an HTTP answer.
const NO_HTTP: [&str; 2] = ["invalid HTTP version parsed", "invalid HTTP status-code parsed"];

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, CertificateError, InvalidMessage};

    use super::*;

    #[test]
    fn errors_of_tls_say_who_can_mend_them() {
        let unknown = TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        let cases = [
            (unknown, Obstacle::Untrusted),
            (TlsError::InvalidMessage(InvalidMessage::InvalidContentType), Obstacle::NoTls),
            (TlsError::AlertReceived(AlertDescription::HandshakeFailure), Obstacle::Tls),
        ];
        for (error, obstacle) in cases {
            assert_eq!(Obstacle::of_tls(&error), obstacle, "{error}");
        }
    }
}
