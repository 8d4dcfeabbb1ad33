//! `Metadata`: which brokers and topics there are, from the shard's own copy; creates topics that clients
//! expect to come into being by themselves.

use kolk_io::door::Net;
use kolk_kafka::message::metadata::{
    Broker, Partition, Request, RequestTopic, Response, Topic as TopicAnswer,
};
use kolk_model::config::overrides::Overrides;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicId, TopicName, TopicPartition};
use kolk_shard::metadata::Metadata;
use kolk_shard::request::{CreateTopicOp, Intent, Topic};

use crate::kafka::names;
use crate::kafka::once::once;
use crate::kafka::session::Context;
use crate::kafka::view::View;

/// What everybody may do where nothing is forbidden: a bit for each of Kafka's ACL operations.
pub(super) const TOPIC_OPERATIONS: i32 =
    1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
pub(super) const CLUSTER_OPERATIONS: i32 =
    1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

/// Topics created for one request at most: a request is no way round the limits of creating topics.
const CREATED_MAX: usize = 100;

/// Answers from the metadata of now, after topics that are missing were created where that is allowed.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let refusals = match &request.topics {
        Some(topics) if may_create(&context, &request) => create_missing(&context, topics).await,
        _ => Vec::new(),
    };
    let (metadata, view) = (context.metadata(), context.view());
    let answer = Answer {
        metadata: &metadata,
        view,
        refusals,
        operations: match request.include_topic_authorized_operations {
            true => TOPIC_OPERATIONS,
            false => i32::MIN,
        },
    };
    // Version 0 knows no null: there an empty list means all.
    let topics = request.topics.filter(|topics| context.version() > 0 || !topics.is_empty());
    // Each once, as in Kafka. Where there is an id, the name beside it does not count.
    let topics = topics.map(|topics| {
        once(topics, |topic| {
            let named = topic.topic_id == TopicId::ZERO.get();
            (topic.topic_id, topic.name.clone().filter(|_| named))
        })
    });
    let brokers = view.brokers(context.local()).into_iter().map(|broker| Broker {
        node_id: broker.id,
        host: broker.host,
        port: i32::from(broker.port),
        rack: None,
    });
    Response {
        brokers: brokers.collect(),
        cluster_id: Some(metadata.cluster().to_string()),
        controller_id: view.controller(&metadata),
        topics: match topics {
            None => metadata
                .topics_by_name()
                .filter(|topic| metadata.is_everywhere(topic.id))
                .map(|topic| answer.topic(topic))
                .collect(),
            Some(asked) => asked.into_iter().map(|asked| answer.asked(asked)).collect(),
        },
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => i32::MIN,
        },
        ..Response::default()
    }
}

/// Before version 4 every question for a topic may create it.
fn may_create<N: Net>(context: &Context<N>, request: &Request) -> bool {
    let asked = context.version() < 4 || request.allow_auto_topic_creation;
    asked && context.session.door.settings.auto_create_topics
}

/// Creates the topics that do not exist; gives the names that could not be, with the reason.
async fn create_missing<N: Net>(
    context: &Context<N>,
    topics: &[RequestTopic],
) -> Vec<(String, ErrorCode)> {
    let metadata = context.metadata();
    let missing = topics
        .iter()
        .filter(|topic| topic.topic_id == TopicId::ZERO.get())
        .filter_map(|topic| topic.name.as_deref())
        // The broker's own topics come into being otherwise, with settings of their own.
        .filter(|name| metadata.topic_named(name).is_none() && !names::is_internal_name(name));
    let mut refusals = Vec::new();
    for name in missing.take(CREATED_MAX) {
        let Ok(topic_name) = TopicName::new(name) else {
            refusals.push((name.to_owned(), ErrorCode::InvalidTopic));
            continue;
        };
        let config = Overrides::topic();
        let op =
            CreateTopicOp { name: topic_name, partitions: None, config, intent: Intent::Carry };
        match context.shard().create_topic(op).await {
            Ok(_) => {}
            // Another client was faster.
            Err(refusal) if refusal.code == ErrorCode::TopicAlreadyExists => {}
            Err(refusal) => {
                tracing::debug!(topic = name, %refusal, "topic not created for a client that asked for it");
                refusals.push((name.to_owned(), refusal.code));
            }
        }
    }
    refusals
}

struct Answer<'a> {
    metadata: &'a Metadata,
    view: &'a View,
    /// Names that could not be created.
    refusals: Vec<(String, ErrorCode)>,
    operations: i32,
}

impl Answer<'_> {
    fn asked(&self, asked: RequestTopic) -> TopicAnswer {
        let name = asked.name.as_deref().unwrap_or_default();
        match names::topic(self.metadata, name, asked.topic_id) {
            Ok(topic) if self.metadata.is_everywhere(topic.id) => self.topic(topic),
            // As Kafka says of a topic that was created just now: the client asks again.
            Ok(topic) => TopicAnswer {
                error_code: ErrorCode::LeaderNotAvailable.to_wire(),
                name: Some(topic.name.to_string()),
                is_internal: names::is_internal(topic),
                ..TopicAnswer::default()
            },
            Err(code) => {
                let refusal = self.refusals.iter().find(|(refused, _)| refused == name);
                let code = match refusal {
                    Some((_, code)) if asked.name.is_some() => *code,
                    _ if asked.name.is_some() && TopicName::new(name).is_err() => {
                        ErrorCode::InvalidTopic
                    }
                    _ => code,
                };
                TopicAnswer {
                    error_code: code.on_kafka().to_wire(),
                    name: asked.name,
                    topic_id: asked.topic_id,
                    ..TopicAnswer::default()
                }
            }
        }
    }

    fn topic(&self, topic: &Topic) -> TopicAnswer {
        TopicAnswer {
            name: Some(topic.name.to_string()),
            topic_id: topic.id.get(),
            is_internal: names::is_internal(topic),
            partitions: (0..topic.partitions)
                .map(|number| self.partition(topic, PartitionId::new(number)))
                .collect(),
            topic_authorized_operations: self.operations,
            ..TopicAnswer::default()
        }
    }

    /// The one replica is the leader; a partition that is offline has none.
    fn partition(&self, topic: &Topic, number: PartitionId) -> Partition {
        let id = TopicPartition::new(topic.id, number);
        let replica = self.view.leader(self.metadata, id);
        let offline = self.metadata.offline(id).is_some();
        let code = if offline { ErrorCode::LeaderNotAvailable } else { ErrorCode::None };
        Partition {
            error_code: code.to_wire(),
            partition_index: i32::try_from(number.get()).unwrap_or(i32::MAX),
            leader_id: if offline { -1 } else { replica },
            leader_epoch: self.metadata.leader_epoch(topic, number).to_wire(),
            replica_nodes: vec![replica],
            isr_nodes: if offline { Vec::new() } else { vec![replica] },
            offline_replicas: if offline { vec![replica] } else { Vec::new() },
        }
    }
}
