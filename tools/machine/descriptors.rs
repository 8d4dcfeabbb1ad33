//! How many files this process may have open: thousands of clients need more than the usual soft limit.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, for this process and the brokers that it starts.
pub fn raise() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // A refusal leaves the limit as it is, and what needs more says so.
    let _refused = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Files that may be open at once.
pub fn max() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_goes_up_to_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        let low = Rlimit { current: Some(200), ..before };
        setrlimit(Resource::Nofile, low).unwrap();
        assert_eq!(max(), 200);
        raise();
        assert_eq!(max(), before.maximum.unwrap_or(u64::MAX));
        setrlimit(Resource::Nofile, before).unwrap();
    }
}
