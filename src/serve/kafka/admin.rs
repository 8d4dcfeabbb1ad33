//! What the handlers of administrators share.

pub(crate) mod resources;

pub(crate) mod deadline;
pub(crate) mod replicas;
pub(crate) mod side_by_side;
