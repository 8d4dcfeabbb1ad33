//! The one door to the world: disks, sockets, time and chance.
