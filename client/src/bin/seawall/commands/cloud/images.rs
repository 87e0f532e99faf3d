//! `seawall cloud status|share|deprecate|disable|enable|rm`.

use std::collections::BTreeSet;

use seawall::cloud::{self, Change};
use seawall::registry::RegistryError;
use seawall::resolve;
use seawall_api::names::ApplicationName;

use super::open;
use crate::command::cloud::{Images, PlaceAt};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::answer;

pub(super) async fn status(
    context: Context,
    application: ApplicationName,
    place: &PlaceAt,
) -> Result<(), Failure> {
    let cloud = open(place).await?;
    let mut releases = BTreeSet::new();
    let mut after = None;
    loop {
        let page = match context.registry.releases(&application, after.as_ref()).await {
            Ok(page) => page,
            // The account may have images of an application that the registry lacks.
            Err(error) if is_missing(&error) => break,
            Err(error) => return Err(error.into()),
        };
        releases.extend(page.releases.iter().map(|release| release.digest.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let report = cloud::status(cloud.as_ref(), &application, &releases).await?;
    answer(context.style, &report, |report| format!("{report}\n"))
}

fn is_missing(error: &RegistryError) -> bool {
    error.kind() == seawall::error::ErrorKind::NotFound
}

pub(super) async fn change(
    context: Context,
    images: Images,
    change: Change,
) -> Result<(), Failure> {
    let Images { target, place, machines } = images;
    let registry = context.registry.as_ref();
    let release = resolve::document(registry, &target.application, &target.selector).await?;
    let cloud = open(&place).await?;
    let report = cloud::change(cloud.as_ref(), &release, &machines, &change).await?;
    answer(context.style, &report, |report| format!("{report}\n"))
}

pub(super) async fn remove(context: Context, images: Images) -> Result<(), Failure> {
    let Images { target, place, machines } = images;
    let registry = context.registry.as_ref();
    let release = resolve::document(registry, &target.application, &target.selector).await?;
    let cloud = open(&place).await?;
    let report = cloud::remove(cloud.as_ref(), &release, &machines).await?;
    answer(context.style, &report, |report| format!("{report}\n"))
}
