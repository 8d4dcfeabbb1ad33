//! `CreateTopics`: each topic by itself; answered when every shard serves it.

use kolk_io::door::Net;
use kolk_kafka::message::create_topics::{
    Request, RequestAssignment, RequestTopic, Response, Topic, TopicConfig,
};
use kolk_model::config::definition::{Change, ConfigError, ConfigKind};
use kolk_model::config::layers::{ConfigEntry, Layers};
use kolk_model::config::overrides::Overrides;
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicName;
use kolk_model::limits::TOPIC_SETTINGS_MAX;
use kolk_model::map::Set;
use kolk_shard::request::{CreateTopicOp, CreatedTopic, Intent, Refusal};

use crate::kafka::admin::deadline::within;
use crate::kafka::admin::replicas;
use crate::kafka::admin::resources::{named_twice, told};
use crate::kafka::admin::side_by_side::side_by_side;
use crate::kafka::answer_room::{AnswerRoom, PART_BYTES};
use crate::kafka::names;
use crate::kafka::session::Context;

/// Creates topics side by side. One that is named twice is not created at all.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let intent = if request.validate_only { Intent::Validate } else { Intent::Carry };
    let twice: Set<String> = named_twice(request.topics.iter().map(|topic| topic.name.as_str()))
        .into_iter()
        .map(str::to_owned)
        .collect();
    let room = AnswerRoom::new();
    let wanted = request.topics.iter().filter(|topic| !twice.contains(&topic.name));
    let creating = wanted.map(|topic| {
        let wish = read(&context, topic, intent);
        create((&context, &room), topic.name.clone(), wish, request.timeout_ms)
    });
    let mut topics = side_by_side(creating).await;
    topics.extend(twice.into_iter().map(|name| {
        refused(name, Refusal::new(ErrorCode::InvalidRequest, "the topic is named twice"))
    }));
    Response { topics, ..Response::default() }
}

/// A topic as it is to be created, and how many replicas its partitions get.
struct Wish {
    op: CreateTopicOp,
    factor: i16,
}

fn read<N: Net>(
    context: &Context<N>,
    topic: &RequestTopic,
    intent: Intent,
) -> Result<Wish, Refusal> {
    let name = TopicName::new(&topic.name)
        .map_err(|error| Refusal::new(ErrorCode::InvalidTopic, error.to_string()))?;
    if names::is_internal_name(name.as_str()) {
        let detail = format!("'{name}' is created by the broker itself");
        return Err(Refusal::new(ErrorCode::InvalidRequest, detail));
    }
    let (partitions, factor) = if topic.assignments.is_empty() {
        let factor = replicas::check_factor(context, topic.replication_factor)?;
        (partitions(topic.num_partitions)?, factor)
    } else {
        if topic.num_partitions != -1 || topic.replication_factor != -1 {
            let detail = "with an assignment, number of partitions and replication factor are -1";
            return Err(Refusal::new(ErrorCode::InvalidRequest, detail));
        }
        (Some(assigned(context, &topic.assignments)?), 1)
    };
    let config = settings(topic)?;
    Ok(Wish { op: CreateTopicOp { name, partitions, config, intent }, factor })
}

/// -1 = the broker's default.
fn partitions(asked: i32) -> Result<Option<u32>, Refusal> {
    match u32::try_from(asked) {
        Ok(count) if count > 0 => Ok(Some(count)),
        _ if asked == -1 => Ok(None),
        _ => {
            let detail = format!("a topic has at least 1 partition, not {asked}");
            Err(Refusal::new(ErrorCode::InvalidPartitions, detail))
        }
    }
}

/// The number of partitions of an assignment. Which shard of the node owns a partition is the broker's affair.
fn assigned<N: Net>(
    context: &Context<N>,
    assignments: &[RequestAssignment],
) -> Result<u32, Refusal> {
    let mut numbers = Set::new();
    for assignment in assignments {
        replicas::check(context, &assignment.broker_ids)?;
        numbers.insert(assignment.partition_index);
    }
    // As many different numbers as assignments, none below 0 and none beyond: those are 0, 1, 2 …
    let count = i32::try_from(assignments.len()).unwrap_or(i32::MAX);
    let whole =
        numbers.len() == assignments.len() && numbers.iter().all(|n| (0..count).contains(n));
    match u32::try_from(count) {
        Ok(count) if whole => Ok(count),
        _ => Err(Refusal::new(
            ErrorCode::InvalidReplicaAssignment,
            "the partitions of an assignment are numbered from 0 without a gap, each once",
        )),
    }
}

fn settings(topic: &RequestTopic) -> Result<Overrides, Refusal> {
    if topic.configs.len() > TOPIC_SETTINGS_MAX {
        let detail = format!("more than {TOPIC_SETTINGS_MAX} settings");
        return Err(Refusal::new(ErrorCode::InvalidRequest, detail));
    }
    let mut overrides = Overrides::topic();
    for config in &topic.configs {
        let refuse = |error: ConfigError| Refusal::new(ErrorCode::InvalidConfig, error.to_string());
        let Some(value) = &config.value else {
            let detail = format!("{} has no value", config.name);
            return Err(Refusal::new(ErrorCode::InvalidConfig, detail));
        };
        overrides.set(&config.name, value).map_err(refuse)?;
    }
    Ok(overrides)
}

async fn create<N: Net>(
    (context, room): (&Context<N>, &AnswerRoom),
    name: String,
    wish: Result<Wish, Refusal>,
    timeout_ms: i32,
) -> Topic {
    let Wish { op, factor } = match wish {
        Ok(wish) => wish,
        Err(refusal) => return refused(name, refusal),
    };
    let given = op.config.clone();
    match within(context, timeout_ms, context.shard().create_topic(op)).await {
        Ok(created) => {
            let configs = room.check().and_then(|()| configs(context, room, &given));
            answer(name, &created, factor, configs)
        }
        Err(refusal) => refused(name, refusal),
    }
}

/// The settings of a created topic. Where all are more than an answer may hold, they are left out.
fn configs<N: Net>(
    context: &Context<N>,
    room: &AnswerRoom,
    given: &Overrides,
) -> Result<Vec<TopicConfig>, Refusal> {
    let metadata = context.metadata();
    let layers = Layers::topic(given, metadata.brokers());
    let config = |entry: ConfigEntry| TopicConfig {
        name: entry.name.to_owned(),
        value: Some(entry.value),
        read_only: entry.change == Change::AtRestart,
        config_source: entry.source.to_wire(),
        is_sensitive: false,
    };
    let configs: Vec<_> = layers.describe_all(ConfigKind::Topic).map(config).collect();
    let bytes = |config: &TopicConfig| {
        PART_BYTES + config.name.len() + config.value.as_ref().map_or(0, String::len)
    };
    room.take(configs.iter().map(bytes).sum())?;
    Ok(configs)
}

fn answer(
    name: String,
    created: &CreatedTopic,
    factor: i16,
    configs: Result<Vec<TopicConfig>, Refusal>,
) -> Topic {
    let (topic_config_error_code, _) = told(&configs);
    Topic {
        name,
        topic_id: created.id.get(),
        num_partitions: i32::try_from(created.partitions).unwrap_or(i32::MAX),
        replication_factor: factor,
        topic_config_error_code,
        configs: configs.ok(),
        ..Topic::default()
    }
}

fn refused(name: String, refusal: Refusal) -> Topic {
    let (error_code, error_message) = told::<()>(&Err(refusal));
    Topic { name, error_code, error_message, configs: Some(Vec::new()), ..Topic::default() }
}
