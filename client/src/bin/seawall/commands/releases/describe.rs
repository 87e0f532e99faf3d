//! `seawall describe`.

use std::path::Path;

use seawall::deploy::DescriptorTarget;
use seawall::describe;
use seawall::directory::Described;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Style, answer};

#[derive(Serialize)]
struct Descriptors {
    descriptors: Vec<Described>,
}

pub(crate) fn describe(
    dir: &Path,
    targets: &[DescriptorTarget],
    style: Style,
) -> Result<(), Failure> {
    let described = Descriptors { descriptors: describe::describe(dir, targets)? };
    answer(style, &described, |all| {
        all.descriptors.iter().map(|described| format!("{described}\n")).collect()
    })
}
