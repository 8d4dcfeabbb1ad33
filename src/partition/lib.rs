//! One replica: append, read, producer state, watermarks, waiters.
