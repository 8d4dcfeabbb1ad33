//! Each name of a request once. Apart because many APIs name things that are small to name and large to tell of: who
//! names one a million times would get an answer without bound. A name is answered where it came first.

use kolk_model::map::{Map, Set};

/// Leaves out what has the key of one before it.
pub(crate) fn once<T, K: Ord>(mut parts: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    if parts.len() > 1 {
        let mut seen = Set::new();
        parts.retain(|part| seen.insert(key(part)));
    }
    parts
}

/// Leaves out partitions that were named before, and topics of which nothing is left then.
pub(crate) fn partitions_once<T, K: Ord>(
    mut topics: Vec<T>,
    key: impl Fn(&T) -> K,
    partitions: impl Fn(&mut T) -> &mut Vec<i32>,
) -> Vec<T> {
    let mut seen: Map<K, Set<i32>> = Map::new();
    topics.retain_mut(|topic| {
        let seen = seen.entry(key(topic)).or_default();
        let named = partitions(topic);
        let was_empty = named.is_empty();
        named.retain(|partition| seen.insert(*partition));
        was_empty || !named.is_empty()
    });
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_again_is_left_out() {
        assert_eq!(once(vec![3, 1, 3, 2, 1], |one| *one), [3, 1, 2]);
        assert_eq!(once(vec!["a", "A"], |one| one.to_lowercase()), ["a"]);
    }

    #[test]
    fn partitions_that_are_named_again_are_left_out_with_their_topics() {
        let topics = vec![
            ("a", vec![1, 0, 1]),
            ("b", vec![1]),
            ("a", vec![0, 2]),
            ("a", vec![2]),
            ("c", vec![]),
        ];
        let left = partitions_once(topics, |topic| topic.0, |topic| &mut topic.1);
        let expected = [("a", vec![1, 0]), ("b", vec![1]), ("a", vec![2]), ("c", vec![])];
        assert_eq!(left, expected);
    }
}
