//! Lists that requests need for a while, kept between requests: one that is carried out allocates none of its own. Apart because both
//! wires use it.

use std::cell::RefCell;

/// Lists of one kind that are kept at most; each request that is under way has one.
const LISTS_MAX: usize = 32;
/// A list with room for more is given back to the allocator: few requests are so wide.
const ITEMS_MAX: usize = 1024;

/// Empty lists with room.
#[derive(Debug)]
pub(crate) struct Lists<T> {
    kept: RefCell<Vec<Vec<T>>>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self { kept: RefCell::new(Vec::new()) }
    }
}

impl<T> Lists<T> {
    /// An empty list, with room if one is kept.
    pub(crate) fn take(&self) -> Vec<T> {
        self.kept.borrow_mut().pop().unwrap_or_default()
    }

    /// Empties a list and keeps it for the next request.
    pub(crate) fn give(&self, mut list: Vec<T>) {
        // Outside the borrow: what is dropped may run code of its own.
        list.clear();
        let mut kept = self.kept.borrow_mut();
        if (1..=ITEMS_MAX).contains(&list.capacity()) && kept.len() < LISTS_MAX {
            kept.push(list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back_empty_with_its_room() {
        let lists = Lists::default();
        let mut list = lists.take();
        list.extend([1, 2, 3]);
        let (start, room) = (list.as_ptr(), list.capacity());
        lists.give(list);
        let again = lists.take();
        assert_eq!((again.len(), again.as_ptr(), again.capacity()), (0, start, room));
        assert_eq!(lists.take().capacity(), 0, "there is no other");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let lists = Lists::default();
        for _ in 0..2 * LISTS_MAX {
            lists.give(vec![7]);
        }
        lists.give(Vec::with_capacity(ITEMS_MAX + 1));
        assert_eq!(lists.kept.borrow().len(), LISTS_MAX);
    }
}
