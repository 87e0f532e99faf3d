//! `seawall backup [DATA] OUT`.

use std::path::{Path, PathBuf};

use seawall_api::units::HumanBytes;
use serde::Serialize;

use super::Surroundings;
use crate::output::answer;
use crate::report::Failure;

#[derive(Serialize)]
struct Backup {
    file: PathBuf,
    len: u64,
}

pub(crate) async fn backup(around: &Surroundings, out: &Path) -> Result<(), Failure> {
    let len = around.registry.back_up(out).await?;
    let backup = Backup { file: out.to_owned(), len };
    answer(around.style, &backup, |backup| {
        let (file, len) = (backup.file.display(), HumanBytes(backup.len));
        format!("copied the catalog to {file} ({len}); it was proven whole\n")
    })
}
