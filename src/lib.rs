//! The broker: reads configuration, plans the cores, starts and stops them.
