//! One core: its partitions, mailbox, mesh, router and housekeeping.
