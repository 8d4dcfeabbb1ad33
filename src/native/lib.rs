//! The native wire: flatbuffers frames and verified views.
