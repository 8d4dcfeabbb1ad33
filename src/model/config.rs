//! Settings under Kafka's names: of topics, of brokers, of groups. Apart so that both wires, the catalogue and
//! the engine read, check, describe and bound them alike.
//!
//! A resource keeps what was set on it as text ([`overrides::Overrides`]); what is in force is worked out from
//! layers: the resource's own overrides, then the broker's, then the default ([`layers::Layers`]).

pub mod broker;
pub mod group;
pub mod topic;

pub mod layers;
pub mod overrides;

pub mod definition;
