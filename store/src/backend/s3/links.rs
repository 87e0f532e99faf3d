//! Addresses of objects that their holder may read without credentials, for a while.

use std::time::Duration;

use http::Method;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::signer::Signer as _;

use crate::backend::calls::failed;
use crate::error::StoreError;

/// The validity of an address: enough to begin a read, too little to be worth keeping.
const VALID_FOR: Duration = Duration::from_secs(600);

/// Makes addresses of the objects of a store.
#[derive(Debug)]
pub(in crate::backend) struct Links {
    bucket: AmazonS3,
    prefix: Path,
}

impl Links {
    /// Makes addresses below a prefix of a bucket.
    pub(super) fn new(bucket: AmazonS3, prefix: &str) -> Self {
        Self { bucket, prefix: Path::from(prefix) }
    }

    /// Returns the address of an object. No request is sent.
    pub(in crate::backend) async fn of(&self, path: &str) -> Result<String, StoreError> {
        let location = Path::from(format!("{}/{path}", self.prefix));
        let signed = self.bucket.signed_url(Method::GET, &location, VALID_FOR).await;
        let failed = |source| failed("sign an address of", path.to_owned(), source);
        signed.map(String::from).map_err(failed)
    }
}
