//! The offline reader: verifies and dumps a data directory.
