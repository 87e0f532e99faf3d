//! `seawall patch`.

use super::Surroundings;
use crate::command::Patch;
use crate::report::Failure;

pub(crate) async fn patch(_: Surroundings, _: Patch) -> Result<(), Failure> {
    Err(Failure::internal("`seawall patch` is not built yet"))
}
