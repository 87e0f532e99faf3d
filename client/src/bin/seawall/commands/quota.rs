//! `seawall quota APPLICATION`.

use seawall_api::v1::{self, SetQuota};

use super::Surroundings;
use crate::command::watch::Quota;
use crate::output::{answer, table};
use crate::report::Failure;

pub(crate) async fn quota(around: &Surroundings, quota: Quota) -> Result<(), Failure> {
    let Quota { application, data_bytes_max, release_count_max } = quota;
    let found = around.registry.quota(&application).await?;
    if data_bytes_max.is_none() && release_count_max.is_none() {
        return answer(around.style, &found, text);
    }
    let set = SetQuota {
        data_bytes_max: data_bytes_max.unwrap_or(found.data_bytes_max),
        release_count_max: release_count_max.unwrap_or(found.release_count_max),
    };
    answer(around.style, &around.registry.set_quota(&application, set).await?, text)
}

fn text(quota: &v1::Quota) -> String {
    let row = |what: &str, used: u64, limit: Option<u64>| {
        let limit = limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
        vec![what.to_owned(), used.to_string(), limit]
    };
    let rows = [
        row("bytes of disk data", quota.data_bytes, quota.data_bytes_max),
        row("releases", quota.release_count, quota.release_count_max),
    ];
    table(&[quota.application.as_str(), "USED", "QUOTA"], rows)
}
