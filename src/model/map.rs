//! The maps this workspace uses. Apart so that iteration order, and with it every simulated run, is the
//! same in every process: the default hasher is seeded at random and therefore banned.

/// A map in key order.
pub type Map<K, V> = std::collections::BTreeMap<K, V>;

/// A set in key order.
pub type Set<K> = std::collections::BTreeSet<K>;
