//! `seawall cloud`: images of a cloud.

mod images;
mod publish;

use std::sync::Arc;

use seawall::cloud::Cloud as Provider;
use seawall::cloud::ec2::{Ec2, Settings};

use super::Context;
use crate::command::cloud::{Cloud, PlaceAt};
use crate::failure::Failure;

/// Runs a `cloud` command.
pub(super) async fn run(context: Context, order: Cloud) -> Result<(), Failure> {
    match order {
        Cloud::Publish(order) => publish::publish(context, order).await,
        Cloud::Status(application, place) => images::status(context, application, &place).await,
        Cloud::Change(images, change) => images::change(context, images, change).await,
        Cloud::Remove(images) => images::remove(context, images).await,
    }
}

/// Opens a place with the credentials of AWS's tools.
async fn open(place: &PlaceAt) -> Result<Arc<dyn Provider>, Failure> {
    let environment = crate::aws_environment();
    let of_environment = || environment.get("AWS_ENDPOINT_URL").map(str::to_owned);
    let endpoint = place.endpoint.clone().or_else(of_environment);
    let settings = Settings { region: place.region.clone(), endpoint, environment };
    Ok(Arc::new(Ec2::open(&settings).await?))
}
