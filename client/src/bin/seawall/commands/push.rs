//! `seawall push`.

use super::Surroundings;
use crate::command::Push;
use crate::report::Failure;

pub(crate) async fn push(_: &Surroundings<'_>, _: Push) -> Result<(), Failure> {
    Err(Failure::internal("`seawall push` is not built yet"))
}
