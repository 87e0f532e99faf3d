//! `seawall backup [DATA] OUT`.

use std::path::{Path, PathBuf};

use seawall_api::units::HumanBytes;
use serde::Serialize;

use crate::commands::Context;
use crate::failure::Failure;
use crate::output::answer;

#[derive(Serialize)]
struct Backup {
    file: PathBuf,
    len: u64,
}

pub(crate) async fn backup(context: &Context, out: &Path) -> Result<(), Failure> {
    let len = context.registry.back_up(out).await?;
    let backup = Backup { file: out.to_owned(), len };
    answer(context.style, &backup, |backup| {
        let (file, len) = (backup.file.display(), HumanBytes(backup.len));
        format!("copied the catalog to {file} ({len}) and verified the copy\n")
    })
}
