//! Every message against an independent crate, and against hostile bytes. Apart because it walks all of them.
