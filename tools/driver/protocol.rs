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

/// What a play asks of a protocol and of this process.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// What an acknowledged record shall survive.
    pub durability: Durability,
    /// Whether appends are conditional.
    pub conditional: bool,
    /// Producers at a time.
    pub producers: u32,
    /// Descriptors that this process may have.
    pub open_files_max: u64,
}

/// Descriptors for all but producers.
const OPEN_FILES_OTHER: u64 = 500;
/// A client of librdkafka has four threads: those of 1,000 took 95 % of two cores, and the broker starved beside them.
const LIBRDKAFKA_PRODUCERS_MAX: u32 = 500;

/// Whether a protocol and its client can do what is asked for; the reason if not.
pub fn supports(protocol: Protocol, demand: &Demand) -> Outcome<()> {
    let refuse = |why: String| Err(DriverError::Unsupported(why));
    let Demand { durability, conditional, producers, open_files_max } = *demand;
    let needed = u64::from(producers) * open_files(protocol) + OPEN_FILES_OTHER;
    if needed > open_files_max {
        return refuse(format!(
            "{producers} producers need {needed} descriptors, and this process may have {open_files_max}"
        ));
    }
    match protocol {
        Protocol::Kafka if producers > LIBRDKAFKA_PRODUCERS_MAX => refuse(format!(
            "librdkafka has four threads a producer: no more than {LIBRDKAFKA_PRODUCERS_MAX} are played"
        )),
        Protocol::Native | Protocol::Nats => Ok(()),
        _ if conditional => {
            refuse("no append to a partition on the condition of where it ends".to_owned())
        }
        Protocol::Rabbitmq if durability == Durability::PowerLoss => refuse(
            "RabbitMQ's streams never call fsync: confirms wait for the kernel alone".to_owned(),
        ),
        Protocol::Kafka | Protocol::Rabbitmq | Protocol::Redis => Ok(()),
    }
}

/// Descriptors of a producer that sends to a few partitions.
const fn open_files(protocol: Protocol) -> u64 {
    match protocol {
        // To the door that was named, and to that of the partition's shard.
        Protocol::Native => 2,
        // The same, and the pipes that wake its threads.
        Protocol::Kafka => 5,
        Protocol::Nats | Protocol::Redis => 1,
        // One for each direction.
        Protocol::Rabbitmq => 2,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_or_this_process_can_not_do_is_refused_with_the_reason() {
        let plain = Demand {
            durability: Durability::ProcessCrash,
            conditional: false,
            producers: 5_000,
            open_files_max: 1 << 20,
        };
        let conditional = Demand { conditional: true, producers: 8, ..plain };
        let flushed = Demand { durability: Durability::PowerLoss, ..plain };
        let few = Demand { open_files_max: 4_096, ..plain };
        for (protocol, demand, refusal) in [
            (Protocol::Native, plain, None),
            (Protocol::Native, conditional, None),
            (Protocol::Native, few, Some("10500 descriptors")),
            (Protocol::Kafka, plain, Some("four threads")),
            (Protocol::Kafka, Demand { producers: 500, ..plain }, None),
            (Protocol::Kafka, conditional, Some("condition")),
            (Protocol::Rabbitmq, flushed, Some("fsync")),
            (Protocol::Redis, plain, None),
        ] {
            let said = supports(protocol, &demand).err().map(|error| error.to_string());
            let fits = match (&said, refusal) {
                (Some(said), Some(refusal)) => said.contains(refusal),
                (said, refusal) => said.is_none() && refusal.is_none(),
            };
            assert!(fits, "{protocol:?} {demand:?}: {said:?}");
        }
    }
}
