//! Temporary credentials that end before their time.
//!
//! Sources of temporary credentials keep them until shortly before they expire. A service may
//! refuse them earlier: the sessions of a role were revoked, or keys were replaced. A source is
//! therefore made anew, without what it kept, once the service refused its credentials.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use object_store::aws::{AmazonS3Builder, AwsCredential, AwsCredentialProvider};
use object_store::{CredentialProvider, Result};

/// The shortest time between two renewals, so that a service that refuses everything does not make
/// every request ask the source of the credentials, too.
const RENEWAL_TIME_MIN: Duration = Duration::from_secs(1);

/// A mark that the service refused the credentials of a request.
#[derive(Debug, Default)]
pub(super) struct Refused(AtomicBool);

impl Refused {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Takes the mark back. Returns whether it was set.
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// A source of credentials, which is made anew once its credentials were refused.
pub(super) struct Renewing {
    builder: AmazonS3Builder,
    refused: Arc<Refused>,
    source: Mutex<(Instant, AwsCredentialProvider)>,
}

impl fmt::Debug for Renewing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewing").finish_non_exhaustive()
    }
}

impl Renewing {
    /// Takes credentials from the source that a builder decides on.
    ///
    /// # Errors
    /// Fails if the settings of the builder cannot be used.
    pub(super) fn new(builder: AmazonS3Builder, refused: Arc<Refused>) -> Result<Self> {
        let source = Mutex::new((Instant::now(), source_of(&builder)?));
        Ok(Self { builder, refused, source })
    }

    fn current(&self) -> Result<AwsCredentialProvider> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if self.refused.take() && source.0.elapsed() >= RENEWAL_TIME_MIN {
            tracing::info!("the credentials of the bucket were refused: fetching them anew");
            *source = (Instant::now(), source_of(&self.builder)?);
        }
        Ok(Arc::clone(&source.1))
    }
}

fn source_of(builder: &AmazonS3Builder) -> Result<AwsCredentialProvider> {
    Ok(Arc::clone(builder.clone().build()?.credentials()))
}

#[async_trait::async_trait]
impl CredentialProvider for Renewing {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        self.current()?.get_credential().await
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::backend::s3::{Environment, Settings, Transport, open};
    use crate::port::{ObjectName, ObjectStore};

    /// The state in which no key is valid.
    const NONE: u32 = u32::MAX;

    /// A service whose keys are `KEY1`, then `KEY2`, …, and the source of these keys.
    #[derive(Default)]
    struct Service {
        /// The number of the key that is valid.
        valid: AtomicU32,
        /// The number of keys that were given out.
        given: AtomicU32,
    }

    impl Service {
        /// Answers one request.
        fn answer(&self, mut stream: &TcpStream) -> std::io::Result<()> {
            let mut lines = BufReader::new(stream).lines();
            let head: Vec<String> =
                lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let valid = self.valid.load(Ordering::SeqCst);
            let (status, body) = if head[0].starts_with("GET /keys ") {
                self.given.fetch_add(1, Ordering::SeqCst);
                let keys = format!(
                    r#"{{"AccessKeyId":"KEY{valid}","SecretAccessKey":"s","Token":"t",
                        "Expiration":"2999-01-01T00:00:00Z"}}"#
                );
                ("200 OK", keys)
            } else if valid != NONE
                && head.iter().any(|line| line.contains(&format!("=KEY{valid}/")))
            {
                ("206 Partial Content", "x".to_owned())
            } else {
                let code = "<Error><Code>ExpiredToken</Code><Message>m</Message></Error>";
                ("400 Bad Request", code.to_owned())
            };
            let len = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {len}\r\n\
                 content-range: bytes 0-0/1\r\netag: \"e\"\r\n\
                 last-modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n{body}"
            )
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keys_that_end_before_their_time_are_fetched_anew() {
        let (service, listener) =
            (Arc::new(Service::default()), TcpListener::bind("127.0.0.1:0").unwrap());
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serving = Arc::clone(&service);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serving.answer(&stream);
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        std::fs::write(&token, "pod").unwrap();
        let environment = Environment::of([
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI".to_owned(), format!("{endpoint}/keys")),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE".to_owned(), token.display().to_string()),
        ]);
        let mut settings = Settings::new("s3://seawall".parse().unwrap(), environment);
        settings.endpoint = Some(endpoint);
        settings.transport = Transport::Any;
        let bucket = open(&settings).unwrap();
        let name = ObjectName::Name("shop/@1".to_owned());
        let read = async || bucket.len(&name).await;
        assert_eq!(read().await.unwrap(), Some(1));
        assert_eq!(read().await.unwrap(), Some(1));
        assert_eq!(service.given.load(Ordering::SeqCst), 1, "the source keeps its keys");
        tokio::time::sleep(RENEWAL_TIME_MIN).await;
        service.valid.store(1, Ordering::SeqCst);
        assert_eq!(read().await.unwrap(), Some(1), "the refused request is sent with new keys");
        assert_eq!(service.given.load(Ordering::SeqCst), 2);
        // Refused without end: the source is not asked by each request.
        service.valid.store(NONE, Ordering::SeqCst);
        for _ in 0..5 {
            assert!(read().await.is_err());
        }
        assert!(service.given.load(Ordering::SeqCst) < 2 + 5);
    }
}
