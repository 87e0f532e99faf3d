//! `seawall verify DIR|REFERENCE`.

use std::path::Path;

use seawall::progress::Progress;

use super::Surroundings;
use crate::command::Target;
use crate::output::Style;
use crate::report::Failure;

pub(crate) async fn dir(_: &Path, _: usize, _: &dyn Progress, _: Style) -> Result<(), Failure> {
    Err(Failure::internal("`seawall verify` is not built yet"))
}

pub(crate) async fn release(_: Surroundings, _: Target, _: usize) -> Result<(), Failure> {
    Err(Failure::internal("`seawall verify` is not built yet"))
}
