//! `seawall pull`.

use super::Surroundings;
use crate::command::Pull;
use crate::report::Failure;

pub(crate) async fn pull(_: Surroundings, _: Pull) -> Result<(), Failure> {
    Err(Failure::internal("`seawall pull` is not built yet"))
}
