//! Checks, damage and backups over HTTP.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use seawall_api::names::ApplicationName;
use seawall_api::reference::Selector;
use seawall_api::release::Release;
use seawall_api::v1::{Damage, DamagedRelease, Fsck, Lease, StartFsck};
use tempfile::{Builder, NamedTempFile};

use super::HttpRegistry;
use super::registry::OCTETS;
use super::transport::Call;
use crate::registry::{RegistryError, Upkeep};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Upkeep for HttpRegistry {
    async fn start_fsck(&self, order: &StartFsck) -> Result<Fsck, RegistryError> {
        let call = Call::new(Method::POST, self.v1(["fsck"]), "check itself");
        self.ask(call, order).await
    }

    async fn fsck(&self) -> Result<Fsck, RegistryError> {
        self.json(Call::get(self.v1(["fsck"]), "say how far its check is")).await
    }

    async fn stop_fsck(&self) -> Result<(), RegistryError> {
        let call = Call::new(Method::DELETE, self.v1(["fsck"]), "stop its check");
        self.transport.send(call).await.map(|_| ())
    }

    async fn damage(&self) -> Result<Damage, RegistryError> {
        self.json(Call::get(self.v1(["damage"]), "say what is damaged")).await
    }

    async fn damage_of(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<DamagedRelease, RegistryError> {
        let (name, selector) = (application.as_str(), selector.to_string());
        let url = self.v1(["applications", name, "releases", &selector, "damage"]);
        let what = format!("say what is damaged of release {application} {selector}");
        self.json(Call::get(url, what)).await
    }

    async fn put_document(&self, lease: &Lease, release: &Release) -> Result<(), RegistryError> {
        let body = Bytes::copy_from_slice(release.bytes());
        self.put("releases", &release.digest().to_string(), lease, body).await
    }

    async fn back_up(&self, into: &Path) -> Result<u64, RegistryError> {
        let what = "copy its catalog";
        let mut call = Call::new(Method::POST, self.v1(["backup"]), what);
        call.headers.insert(CONTENT_TYPE, OCTETS);
        let mut response = self.transport.send(call.with_body(Bytes::new())).await?;
        let expected = response.content_length();
        let failed = |source| RegistryError::Kept { path: into.to_owned(), source };
        let mut file = Part::beside(into).map_err(failed)?;
        let mut len = 0;
        while let Some(piece) = self.transport.piece(what, &mut response).await? {
            file.0.write_all(&piece).map_err(failed)?;
            len += piece.len() as u64;
        }
        if expected.is_some_and(|expected| expected != len) {
            let why = format!("{len} bytes came of {expected:?}");
            return Err(RegistryError::Protocol { what: what.to_owned(), why });
        }
        file.finish(into).map_err(failed)?;
        Ok(len)
    }
}

/// A file that has another name until it is whole; it is gone if it never is. Only its owner reads
/// it: a catalog holds the secrets of webhooks.
struct Part(NamedTempFile);

impl Part {
    fn beside(into: &Path) -> io::Result<Self> {
        if into.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // With mode 0600, which is this crate's own.
        Builder::new().prefix(".seawall-").suffix(".part").tempfile_in(folder_of(into)).map(Self)
    }

    fn finish(self, into: &Path) -> io::Result<()> {
        self.0.as_file().sync_all()?;
        self.0.persist_noclobber(into).map_err(|error| error.error)?;
        File::open(folder_of(into))?.sync_all()
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_has_its_name_when_it_is_whole_and_its_owner_alone_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().join("catalog.sqlite");
        let count = || std::fs::read_dir(dir.path()).unwrap().count();
        let mut part = Part::beside(&into).unwrap();
        part.0.write_all(b"half").unwrap();
        assert!(!into.exists());
        drop(part);
        assert_eq!(count(), 0, "what broke off leaves nothing");
        let mut part = Part::beside(&into).unwrap();
        part.0.write_all(b"whole").unwrap();
        let late = Part::beside(&into).unwrap();
        part.finish(&into).unwrap();
        assert_eq!(std::fs::read(&into).unwrap(), b"whole");
        assert_eq!(into.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let taken = io::ErrorKind::AlreadyExists;
        assert_eq!(late.finish(&into).unwrap_err().kind(), taken);
        assert_eq!(Part::beside(&into).map(|_| ()).unwrap_err().kind(), taken);
        assert_eq!((std::fs::read(&into).unwrap(), count()), (b"whole".to_vec(), 1));
    }
}
