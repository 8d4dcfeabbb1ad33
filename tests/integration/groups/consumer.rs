//! A member of the consumer protocol that reads nothing: it holds what it is given, and gives up what it is told.

use kolk_kafka::message::consumer_group_heartbeat::{Request, RequestTopicPartitions, Response};

use crate::broker::Place;
use crate::kafka::wire::KafkaWire;

pub(crate) struct Holder {
    wire: KafkaWire,
    group: String,
    topic: String,
    epoch: i32,
    owned: Vec<RequestTopicPartitions>,
}

impl Holder {
    pub(crate) fn join(place: &Place, group: &str, topic: &str) -> Self {
        let mut holder = Self {
            wire: KafkaWire::open(place.kafka()),
            group: group.to_owned(),
            topic: topic.to_owned(),
            epoch: 0,
            owned: Vec::new(),
        };
        holder.beat();
        holder
    }

    /// Says that it lives, and does what it is told.
    pub(crate) fn beat(&mut self) {
        let joins = self.epoch == 0;
        let heartbeat = Request {
            rebalance_timeout_ms: if joins { 60_000 } else { -1 },
            subscribed_topic_names: joins.then(|| vec![self.topic.clone()]),
            topic_partitions: Some(self.owned.clone()),
            ..self.request(self.epoch)
        };
        let heard: Response = self.wire.call(1, &heartbeat);
        assert_eq!(heard.error_code, 0, "{heard:?}");
        self.epoch = heard.member_epoch;
        if let Some(assignment) = heard.assignment {
            let topics = assignment.topic_partitions.into_iter();
            self.owned = topics
                .map(|one| RequestTopicPartitions {
                    topic_id: one.topic_id,
                    partitions: one.partitions,
                })
                .collect();
        }
    }

    pub(crate) fn leave(mut self) {
        let heartbeat = self.request(-1);
        let heard: Response = self.wire.call(1, &heartbeat);
        assert_eq!(heard.error_code, 0, "{heard:?}");
    }

    fn request(&self, epoch: i32) -> Request {
        Request {
            group_id: self.group.clone(),
            member_id: "holder".to_owned(),
            member_epoch: epoch,
            ..Request::default()
        }
    }
}
