//! `seawall bundle create|have|verify|import`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall::bundle::{BundleError, BundleWriter, CheckedPart, HAVE_LEN_MAX, Have, check};
use seawall::copy::{self, CopyReport, Filter, Manner, Pick};
use seawall::depot::{Depot, Owner};
use seawall::error::Failure as _;
use seawall_api::names::ApplicationPattern;
use seawall_api::units::HumanBytes;
use serde::Serialize;

use super::Context;
use crate::command::bundle::{Bundle, CreateBundle};
use crate::connect::depot::{now_secs, random_id};
use crate::failure::Failure;
use crate::output::{Style, answer};

/// The answer of `bundle create`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    files: Vec<CreatedFile>,
    /// The number of releases whose chunks were left out.
    assumed_count: u64,
    #[serde(flatten)]
    report: CopyReport,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreatedFile {
    file: PathBuf,
    file_bytes: u64,
}

/// The answer of `bundle verify`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified {
    parts: Vec<VerifiedPart>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerifiedPart {
    file: PathBuf,
    bundle: String,
    part: u64,
    is_last: bool,
    record_count: u64,
    file_bytes: u64,
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        let (kind, remedy) = (error.kind(), error.remedy());
        Self::new(kind, &error, remedy)
    }
}

/// Runs a `bundle` command that uses a registry.
pub(super) async fn run(context: Context, order: Bundle) -> Result<(), Failure> {
    match order {
        Bundle::Create(order) => create(context, order).await,
        Bundle::Have => {
            let have = Have::of(context.registry.as_ref()).await?;
            // A list is a file for `create`, whatever the style of answers.
            let text = serde_json::to_string(&have).unwrap_or_default();
            match context.style {
                Style::Text => answer(context.style, &have, |_| format!("{text}\n")),
                style @ Style::Json(_) => answer(style, &have, |_| String::new()),
            }
        }
        Bundle::Import { files, dry_run } => import(context, &files, dry_run).await,
    }
}

async fn create(context: Context, order: CreateBundle) -> Result<(), Failure> {
    let CreateBundle { what, output, have, split } = order;
    let id = random_id(&context.address);
    let mut bundle = [0; 16];
    bundle.copy_from_slice(&seawall_api::digest::ContentDigest::of(id.as_bytes()).as_bytes()[..16]);
    let writer = Arc::new(BundleWriter::new(output, bundle, split));
    let mirror = context.address.clone();
    let owner = Owner { mirror, nonce: id, channels_expire_in_secs: None };
    let depot = Arc::new(Depot::create(Arc::clone(&writer), owner, now_secs).await?);
    let assumed_count = match have {
        None => 0,
        Some(path) => have_of(&path)?.assume(context.registry.as_ref(), &depot).await?,
    };
    let order = copy::Copy {
        from: context.registry,
        to: Arc::clone(&depot) as _,
        picks: what.into_iter().map(|it| it.pick(&Filter::default())).collect(),
        dry_run: false,
        manner: Manner::default(),
        progress: context.progress,
    };
    let report = copy::copy(&order).await?;
    depot.end().await?;
    let files = writer.finish()?.into_iter();
    let files = files.map(|(file, file_bytes)| CreatedFile { file, file_bytes }).collect();
    let created = Created { files, assumed_count, report };
    answer(context.style, &created, |created| {
        let mut text = String::new();
        for CreatedFile { file, file_bytes } in &created.files {
            text += &format!("{}  {}\n", file.display(), HumanBytes(*file_bytes));
        }
        text
    })
}

fn have_of(path: &Path) -> Result<Have, Failure> {
    let failed = |error| Failure::io(&format!("cannot read {}", path.display()), &error);
    let mut text = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(HAVE_LEN_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > HAVE_LEN_MAX {
        let why = format!("it has more than {HAVE_LEN_MAX} bytes");
        return Err(BundleError::Have { path: path.to_owned(), why }.into());
    }
    Ok(Have::parse(&text, path)?)
}

async fn import(context: Context, files: &[PathBuf], dry_run: bool) -> Result<(), Failure> {
    let bundle = seawall::bundle::Bundle::open(files)?;
    let depot = Arc::new(Depot::open(Arc::new(bundle), now_secs).await?);
    let all: ApplicationPattern = "*".parse().map_err(|_| Failure::internal("`*` is a pattern"))?;
    let order = copy::Copy {
        from: depot,
        to: context.registry,
        picks: vec![Pick::Each(all, Filter::default())],
        dry_run,
        manner: Manner::default(),
        progress: context.progress,
    };
    let report = copy::copy(&order).await?;
    answer(context.style, &report, |report| match dry_run {
        true => format!("{report} would be read\n"),
        false => format!("{report} read\n"),
    })
}

/// Verifies parts of a bundle, which needs no registry.
pub(super) fn verify(files: Vec<PathBuf>, style: Style) -> Result<(), Failure> {
    let mut parts = Vec::new();
    for file in files {
        let CheckedPart { bundle, number, is_last, record_count, bytes } = check(&file)?;
        let (part, file_bytes) = (number, bytes);
        parts.push(VerifiedPart { file, bundle, part, is_last, record_count, file_bytes });
    }
    answer(style, &Verified { parts }, |verified| {
        let mut text = String::new();
        for part in &verified.parts {
            let end = if part.is_last { ", the last" } else { "" };
            text += &format!(
                "{}: part {}{end} of bundle {} is sound, {}\n",
                part.file.display(),
                part.part,
                &part.bundle[..8],
                HumanBytes(part.file_bytes),
            );
        }
        text
    })
}
