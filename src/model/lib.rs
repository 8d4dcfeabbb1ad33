//! Ids, offsets, the record batch, checksums and error codes.
