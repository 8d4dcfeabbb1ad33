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
use crate::kafka::session::Context;

/// Answers from the shard's own copy.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let show =
        Show { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let results = request.resources.into_iter().map(|asked| describe(&context, asked, show));
    Response { results: results.collect(), ..Response::default() }
}

/// What a client wants to see beside names and values.
#[derive(Clone, Copy)]
struct Show {
    synonyms: bool,
    documentation: bool,
}

fn describe<N: Net>(context: &Context<N>, asked: RequestResource, show: Show) -> Answer {
    let RequestResource { resource_type, resource_name, configuration_keys } = asked;
    let name = ResourceName { kind: resource_type, name: resource_name };
    let entries = name.find(context).map(|resource| entries(context, &resource));
    let (error_code, error_message) = told(&entries);
    // No keys at all means every key, null or empty, as in Kafka.
    let wanted: Set<String> = configuration_keys.unwrap_or_default().into_iter().collect();
    let entries = entries.unwrap_or_default().into_iter();
    let shown = entries.filter(|entry| wanted.is_empty() || wanted.contains(entry.name));
    Answer {
        error_code,
        error_message,
        resource_type,
        resource_name: name.name,
        configs: shown.map(|entry| config(entry, show)).collect(),
    }
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
