//! Checks, damage and backups over HTTP.

use std::io::{self, Write};
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::v1::{Damage, DamagedRelease, Fsck, Jobs, Lease, StartFsck};
use seawall_store::new_file::{NewFile, NewFileError};

use crate::registry::http::HttpRegistry;
use crate::registry::http::calls::OCTETS;
use crate::registry::http::transport::Call;
use crate::registry::{Maintenance, RegistryError};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Maintenance for HttpRegistry {
    async fn start_fsck(&self, order: &StartFsck) -> Result<Fsck, RegistryError> {
        let call = Call::new(Method::POST, self.v1(["fsck"]), "check itself");
        self.ask(call, order).await
    }

    async fn fsck(&self) -> Result<Fsck, RegistryError> {
        self.json(Call::get(self.v1(["fsck"]), "report the progress of its check")).await
    }

    async fn stop_fsck(&self) -> Result<(), RegistryError> {
        self.done(Call::new(Method::DELETE, self.v1(["fsck"]), "stop its check")).await
    }

    async fn jobs(&self) -> Result<Jobs, RegistryError> {
        self.json(Call::get(self.v1(["jobs"]), "list its jobs")).await
    }

    async fn stop_job(&self, kind: &str, subject: &str) -> Result<(), RegistryError> {
        let mut url = self.v1(["jobs", kind]);
        if !subject.is_empty() {
            url.query_pairs_mut().append_pair("subject", subject);
        }
        self.done(Call::new(Method::DELETE, url, format!("stop its job {kind}"))).await
    }

    async fn damage(&self) -> Result<Damage, RegistryError> {
        self.json(Call::get(self.v1(["damage"]), "list damaged releases")).await
    }

    async fn damage_of(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<DamagedRelease, RegistryError> {
        let (name, selector) = (application.as_str(), selector.to_string());
        let url = self.v1(["applications", name, "releases", &selector, "damage"]);
        let what = format!("list the damage of release {application} {selector}");
        self.json(Call::get(url, what)).await
    }

    async fn put_document(&self, lease: &Lease, release: &Release) -> Result<(), RegistryError> {
        let body = Bytes::copy_from_slice(release.bytes());
        self.put("releases", &release.digest().to_string(), lease, body).await
    }

    /// Makes a single attempt: a backup is long, and the caller may have started another.
    async fn back_up(&self, into: &Path) -> Result<u64, RegistryError> {
        let what = "copy its catalog";
        let mut call = Call::new(Method::POST, self.v1(["backup"]), what);
        call.headers.insert(CONTENT_TYPE, OCTETS);
        // First, so that an existing file is reported before the copy begins. Only the owner may
        // read the file: a catalog holds the secrets of webhooks.
        let file = NewFile::create_private(into).map_err(|error| kept(into, error))?;
        let mut response = self.transport.open(&call.with_body(Bytes::new())).await?;
        let expected = response.content_length();
        let failed = |source| RegistryError::Kept { path: into.to_owned(), source };
        let mut len = 0;
        while let Some(piece) = self.transport.piece(what, &mut response).await? {
            file.file().write_all(&piece).map_err(failed)?;
            len += piece.len() as u64;
        }
        if expected.is_some_and(|expected| expected != len) {
            let why = format!("{len} bytes arrived of {expected:?}");
            return Err(RegistryError::Protocol { what: what.to_owned(), why });
        }
        file.commit().map_err(|error| kept(into, error))?;
        Ok(len)
    }
}

fn kept(into: &Path, error: NewFileError) -> RegistryError {
    let source = match error {
        NewFileError::Io { source, .. } => source,
        _ => io::ErrorKind::AlreadyExists.into(),
    };
    RegistryError::Kept { path: into.to_owned(), source }
}
