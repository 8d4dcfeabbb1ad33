//! The parts of a request, carried out side by side but not all at once. Apart because a request may have a million
//! parts, and each that is under way costs memory.

use std::future::Future;

use futures_util::{StreamExt as _, stream};

/// Parts of one request that are under way. Beyond: they wait for those before them.
const AT_ONCE: usize = 512;

/// Carries parts out and gives their results in their order. The first ones begin when this is polled first.
pub(crate) async fn side_by_side<F: Future>(parts: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    stream::iter(parts).buffered(AT_ONCE).collect().await
}
