//! `DescribeConfigs`: the settings of topics, brokers and groups, with where each comes from.

use kolk_io::door::Net;
use kolk_kafka::message::describe_configs::{
    Config, Request, RequestResource, Resource as Answer, Response, Synonym,
};
use kolk_model::config::definition::{Change, ConfigKind};
use kolk_model::config::layers::{ConfigEntry, ConfigSource, Layers};
use kolk_model::config::overrides::Overrides;
use kolk_model::map::Set;

use crate::kafka::admin::resources::{Resource, ResourceName, told};
use crate::kafka::answer_room::{AnswerRoom, PART_BYTES};
use crate::kafka::once::once;
use crate::kafka::session::Context;

/// Resources that are described before others run: each is some dozens of settings.
const RUN_RESOURCES: usize = 64;

/// Answers from the shard's own copy, each resource once.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let show =
        Show { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let name = |asked: &RequestResource| (asked.resource_type, asked.resource_name.clone());
    let resources = once(request.resources, name);
    let (room, mut results) = (AnswerRoom::new(), Vec::with_capacity(resources.len()));
    for asked in resources {
        if results.len() % RUN_RESOURCES == RUN_RESOURCES - 1 {
            context.shard().io().yield_now().await;
        }
        results.push(describe(&context, asked, show, &room));
    }
    Response { results, ..Response::default() }
}

/// What a client wants to see beside names and values.
#[derive(Clone, Copy)]
struct Show {
    synonyms: bool,
    documentation: bool,
}

fn describe<N: Net>(
    context: &Context<N>,
    asked: RequestResource,
    show: Show,
    room: &AnswerRoom,
) -> Answer {
    let RequestResource { resource_type, resource_name, configuration_keys } = asked;
    let name = ResourceName { kind: resource_type, name: resource_name };
    // No keys at all means every key, null or empty, as in Kafka.
    let wanted: Set<String> = configuration_keys.unwrap_or_default().into_iter().collect();
    let is_wanted = |entry: &ConfigEntry| wanted.is_empty() || wanted.contains(entry.name);
    let configs = room.check().and_then(|()| {
        let entries = entries(context, &name.find(context)?).into_iter();
        let configs: Vec<_> = entries.filter(is_wanted).map(|entry| config(entry, show)).collect();
        room.take(PART_BYTES + configs.iter().map(bytes).sum::<usize>())?;
        Ok(configs)
    });
    let (error_code, error_message) = told(&configs);
    Answer {
        error_code,
        error_message,
        resource_type,
        resource_name: name.name,
        configs: configs.unwrap_or_default(),
    }
}

/// Bytes of a setting in the answer, about.
fn bytes(config: &Config) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let synonym = |synonym: &Synonym| PART_BYTES + synonym.name.len() + length(&synonym.value);
    let texts = config.name.len() + length(&config.value) + length(&config.documentation);
    PART_BYTES + texts + config.synonyms.iter().map(synonym).sum::<usize>()
}

fn entries<N: Net>(context: &Context<N>, resource: &Resource) -> Vec<ConfigEntry> {
    let metadata = context.metadata();
    let broker = metadata.brokers();
    let start = &context.view().start().settings;
    match resource {
        Resource::Topic(topic) => {
            Layers::topic(&topic.overrides, broker).describe_all(ConfigKind::Topic).collect()
        }
        Resource::Broker(id) => {
            // A node has several ids, one for each door; it is shown the one that was asked for.
            let mut start = start.clone();
            start.extend(["broker.id", "node.id"].map(|name| (name.to_owned(), id.to_string())));
            let layers = Layers { own: None, broker, start: Some(&start) };
            layers.describe_all(ConfigKind::Broker).collect()
        }
        // As in Kafka: what was set for all brokers, and nothing else.
        Resource::Cluster => Layers { own: None, broker, start: None }
            .describe_all(ConfigKind::Broker)
            .filter_map(|entry| as_set_on_all(entry, &broker.cluster))
            .collect(),
        Resource::Group(group) => {
            let nothing = Overrides::new(ConfigKind::Group);
            let own = metadata.group_settings(group).map_or(&nothing, AsRef::as_ref);
            let layers = Layers { own: Some(own), broker, start: None };
            layers.describe_all(ConfigKind::Group).collect()
        }
    }
}

fn as_set_on_all(entry: ConfigEntry, cluster: &Overrides) -> Option<ConfigEntry> {
    let value = cluster.get(entry.name)?.to_owned();
    let synonyms = entry.synonyms.into_iter();
    let synonyms = synonyms.filter(|synonym| synonym.source != ConfigSource::Node).collect();
    Some(ConfigEntry { value, source: ConfigSource::Cluster, synonyms, ..entry })
}

fn config(entry: ConfigEntry, show: Show) -> Config {
    let synonyms = entry.synonyms.into_iter().filter(|_| show.synonyms).map(|synonym| Synonym {
        name: synonym.name.to_owned(),
        value: Some(synonym.value),
        source: synonym.source.to_wire(),
    });
    Config {
        name: entry.name.to_owned(),
        value: Some(entry.value),
        read_only: entry.change == Change::AtRestart,
        config_source: entry.source.to_wire(),
        is_sensitive: false,
        synonyms: synonyms.collect(),
        config_type: entry.value_type.to_wire(),
        documentation: show.documentation.then(|| entry.doc.to_owned()),
    }
}
