//! `seawall serve DATA`.

use crate::args::ServeArgs;
use crate::report::Failure;

pub(crate) async fn serve(_: ServeArgs) -> Result<(), Failure> {
    Err(Failure::internal("`seawall serve` is not built yet"))
}
