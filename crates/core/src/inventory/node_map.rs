//! What is known of nodes, by their names, for readers that a copy costs nothing.

use std::sync::Arc;

use imbl::GenericHashMap;
use imbl::shared_ptr::DefaultSharedPtr;

/// A map from names of nodes. The names of a cluster begin alike, so that a search in their order compares long strings a dozen times where
/// a hash compares one.
pub(super) type NodeMap<V> = GenericHashMap<Arc<str>, V, foldhash::fast::RandomState, DefaultSharedPtr>;
