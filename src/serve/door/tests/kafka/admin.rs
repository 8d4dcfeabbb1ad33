//! What administrators ask: each part of a request is answered by itself, and what was changed is in force.

mod configs;
mod effects;
mod shards;
mod topics;

use kolk_kafka::message::{
    alter_configs, alter_partition_reassignments, alter_replica_log_dirs, create_partitions,
    create_topics, delete_records, delete_topics, describe_cluster, describe_configs,
    describe_log_dirs, describe_producers, describe_quorum, describe_topic_partitions,
    elect_leaders, incremental_alter_configs, list_config_resources, list_partition_reassignments,
};

use super::*;

/// The broker behind each door.
const NODE: i32 = 7 * 1_024;
const SHARD: i32 = NODE + 1;

fn wish(name: &str, partitions: i32, factor: i16) -> create_topics::RequestTopic {
    create_topics::RequestTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: factor,
        ..Default::default()
    }
}

fn with(
    mut topic: create_topics::RequestTopic,
    settings: &[(&str, &str)],
) -> create_topics::RequestTopic {
    let config = |(name, value): &(&str, &str)| create_topics::RequestConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    };
    topic.configs = settings.iter().map(config).collect();
    topic
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> create_topics::RequestTopic {
    let assignment =
        |(partition_index, brokers): &(i32, &[i32])| create_topics::RequestAssignment {
            partition_index: *partition_index,
            broker_ids: brokers.to_vec(),
        };
    let assignments = assignments.iter().map(assignment).collect();
    create_topics::RequestTopic { assignments, ..wish(name, -1, -1) }
}

fn create(topics: Vec<create_topics::RequestTopic>) -> create_topics::Request {
    create_topics::Request { topics, ..Default::default() }
}

impl KafkaClient {
    pub(super) fn create(&mut self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let request = create(vec![with(wish(name, partitions, 1), settings)]);
        let response: create_topics::Response = self.call(7, &request);
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
    }

    fn partitions(&mut self, name: &str) -> usize {
        let topic = metadata::RequestTopic { name: Some(name.to_owned()), ..Default::default() };
        let request = metadata::Request {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let response: metadata::Response = self.call(12, &request);
        response.topics[0].partitions.len()
    }
}
