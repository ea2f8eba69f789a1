//! That an object changed, without what it holds.

use std::fmt::Debug;

use futures::{Stream, StreamExt as _};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Resource};

/// Something for each change of the object `name`, for ever. A watch only makes it quicker to notice: where it fails, as without
/// the right to watch, nothing comes, and whoever looks regularly is not harmed.
pub(super) fn changes<K>(api: Api<PartialObjectMeta<K>>, name: &str) -> impl Stream<Item = ()> + Send + use<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
{
    let only = Config::default().fields(&format!("metadata.name={name}"));
    watcher(api, only).default_backoff().filter_map(|event| async move {
        match event {
            // The begin and end of a list are no change; what it lists may be one.
            Ok(Event::Init | Event::InitDone) => None,
            Ok(_) => Some(()),
            Err(error) => {
                tracing::debug!(%error, "a watch failed that would notice changes sooner");
                None
            }
        }
    })
}
