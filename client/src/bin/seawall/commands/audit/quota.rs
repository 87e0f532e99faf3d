//! `seawall quota APPLICATION`.

use seawall_api::units::HumanBytes;
use seawall_api::v1::{self, SetQuota};

use crate::command::audit::Quota;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{answer, table};

pub(crate) async fn quota(context: &Context, quota: Quota) -> Result<(), Failure> {
    let Quota { application, data_bytes_max, release_count_max } = quota;
    let found = context.registry.quota(&application).await?;
    if data_bytes_max.is_none() && release_count_max.is_none() {
        return answer(context.style, &found, text);
    }
    let set = SetQuota {
        data_bytes_max: data_bytes_max.unwrap_or(found.data_bytes_max),
        release_count_max: release_count_max.unwrap_or(found.release_count_max),
    };
    answer(context.style, &context.registry.set_quota(&application, set).await?, text)
}

fn text(quota: &v1::Quota) -> String {
    let row = |what: &str, used: u64, limit: Option<u64>, show: fn(u64) -> String| {
        vec![what.to_owned(), show(used), limit.map_or_else(|| "none".to_owned(), show)]
    };
    let bytes = |bytes| HumanBytes(bytes).to_string();
    let rows = [
        row("data of disks", quota.data_bytes, quota.data_bytes_max, bytes),
        row("releases", quota.release_count, quota.release_count_max, |count| count.to_string()),
    ];
    table(&[quota.application.as_str(), "USED", "QUOTA"], rows)
}
