//! `DeleteTopics`: each topic by itself, by name or id; answered when no shard serves it any more.

use kolk_io::door::Net;
use kolk_kafka::message::delete_topics::{Request, RequestTopic, Response, Topic as Answer};
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicId;
use kolk_model::map::{Map, Set};
use kolk_shard::metadata::Metadata;
use kolk_shard::request::Refusal;

use crate::kafka::admin::deadline::within;
use crate::kafka::admin::resources::told;
use crate::kafka::admin::side_by_side::side_by_side;
use crate::kafka::names;
use crate::kafka::session::Context;

/// Deletes topics side by side. One that is named twice, be it once by name and once by id, is not deleted.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let metadata = context.metadata();
    let by_name = request
        .topic_names
        .into_iter()
        .map(|name| RequestTopic { name: Some(name), ..RequestTopic::default() });
    let asked: Vec<_> = request.topics.into_iter().chain(by_name).collect();
    let found: Vec<_> = asked.iter().map(|topic| find(&metadata, topic)).collect();
    let mut times: Map<TopicId, usize> = Map::new();
    for id in found.iter().flatten() {
        *times.entry(*id).or_default() += 1;
    }
    // What is not deleted because it is named twice is told once, too.
    let mut told: Set<TopicId> = Set::new();
    let each = asked.into_iter().zip(found);
    let each = each.filter(|(_, found)| found.as_ref().map_or(true, |id| told.insert(*id)));
    let deleting = each.map(|(topic, found)| {
        let once = |id: TopicId| match times.get(&id) {
            Some(2..) => Err(Refusal::new(ErrorCode::InvalidRequest, "the topic is named twice")),
            _ => Ok(id),
        };
        let found = found.and_then(once);
        delete(context.clone(), topic, found, request.timeout_ms)
    });
    let responses = side_by_side(deleting).await;
    Response { responses, ..Response::default() }
}

fn find(metadata: &Metadata, asked: &RequestTopic) -> Result<TopicId, Refusal> {
    let has_id = asked.topic_id != TopicId::ZERO.get();
    let name = asked.name.as_deref();
    if has_id == name.is_some() {
        let detail = "a topic is named either by its name or by its id";
        return Err(Refusal::new(ErrorCode::InvalidRequest, detail));
    }
    let found = names::topic(metadata, name.unwrap_or_default(), asked.topic_id);
    let topic = found.map_err(|code| Refusal::new(code, "there is no such topic"))?;
    if names::is_internal(topic) {
        let detail = format!("'{}' belongs to the broker itself", topic.name);
        return Err(Refusal::new(ErrorCode::InvalidRequest, detail));
    }
    Ok(topic.id)
}

async fn delete<N: Net>(
    context: Context<N>,
    asked: RequestTopic,
    found: Result<TopicId, Refusal>,
    timeout_ms: i32,
) -> Answer {
    // A client that gave one of both learns the other.
    let (mut name, mut topic_id) = (asked.name, asked.topic_id);
    if let Some(topic) = found.as_ref().ok().and_then(|id| context.metadata().topic(*id).cloned()) {
        name = Some(topic.name.to_string());
        topic_id = topic.id.get();
    }
    let deleted = match found {
        Ok(id) => within(&context, timeout_ms, context.shard().delete_topic(id)).await,
        Err(refusal) => Err(refusal),
    };
    let (error_code, error_message) = told(&deleted);
    Answer { name, topic_id, error_code, error_message }
}
