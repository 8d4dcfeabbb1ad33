//! The clients, one file each.

#[cfg(feature = "kafka")]
mod kafka;
mod native;
#[cfg(feature = "nats")]
mod nats;
mod rabbitmq;
#[cfg(feature = "redis")]
mod redis;

mod chores;

use kolk_model::durability::Durability;

use crate::driver::{ClientPlan, Driver, Place};
use crate::error::{DriverError, Outcome};

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// kolk's own.
    Native,
    /// Kafka's, through librdkafka.
    Kafka,
    /// NATS JetStream.
    Nats,
    /// RabbitMQ's streams.
    Rabbitmq,
    /// Redis's streams.
    Redis,
}

/// Whether a protocol can do what a workload asks for; the reason if not.
pub fn supports(protocol: Protocol, durability: Durability, conditional: bool) -> Outcome<()> {
    let refuse = |why: &str| Err(DriverError::Unsupported(why.to_owned()));
    match protocol {
        Protocol::Native | Protocol::Nats => Ok(()),
        _ if conditional => refuse("no append to a partition on the condition of where it ends"),
        Protocol::Rabbitmq if durability == Durability::PowerLoss => {
            refuse("RabbitMQ's streams never call fsync: confirms wait for the kernel alone")
        }
        Protocol::Kafka | Protocol::Rabbitmq | Protocol::Redis => Ok(()),
    }
}

/// A driver for the protocol; an error names the feature that it takes.
pub fn open(protocol: Protocol, place: Place, plan: ClientPlan) -> Outcome<Box<dyn Driver>> {
    match protocol {
        Protocol::Native => Ok(Box::new(native::Native::new(place, plan)?)),
        #[cfg(feature = "kafka")]
        Protocol::Kafka => Ok(Box::new(kafka::Kafka::new(place, plan))),
        #[cfg(feature = "nats")]
        Protocol::Nats => Ok(Box::new(nats::Nats::new(place, plan)?)),
        Protocol::Rabbitmq => Ok(Box::new(rabbitmq::Rabbitmq::new(place, plan))),
        #[cfg(feature = "redis")]
        Protocol::Redis => Ok(Box::new(redis::Redis::new(place, plan)?)),
        #[cfg(not(all(feature = "kafka", feature = "nats", feature = "redis")))]
        other => {
            let feature = format!("{other:?}").to_lowercase();
            let why = format!("this kolk-bench was built without the feature '{feature}'");
            Err(DriverError::Unsupported(why))
        }
    }
}
