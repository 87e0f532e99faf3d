//! `seawall describe`.

use std::path::Path;

use seawall::deploy::DescriptorTarget;
use seawall::describe;

use crate::output::{Style, answer};
use crate::report::Failure;

pub(crate) fn describe(
    dir: &Path,
    targets: &[DescriptorTarget],
    style: Style,
) -> Result<(), Failure> {
    let described = describe::describe(dir, targets)?;
    answer(style, &described, |all| all.iter().map(|described| format!("{described}\n")).collect())
}
