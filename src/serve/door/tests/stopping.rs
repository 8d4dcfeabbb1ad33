//! A clean stop, seen by clients.

use kolk_model::error::ErrorCode;

use super::*;

#[test]
fn requests_in_flight_are_answered_and_connections_end() {
    let broker = Broker::start();
    let mut idle = broker.connect();
    let mut client = broker.connect();
    let topic = client.create_topic("web", 1);
    let poll = client.send(&fetch(topic, 0, 0, 60_000));
    // Its answer shows that the fetch before it was taken in.
    client.call_in_between(topic);
    let stopping = std::thread::scope(|scope| {
        let stopping = scope.spawn(|| broker.stop());
        let (answered, reply) = client.receive();
        assert_eq!(answered, poll);
        let Reply::Fetch(mut reply) = reply else { panic!("{reply:?}") };
        let refusal = reply.partitions.remove(0).batches.unwrap_err();
        assert_eq!(refusal.code, ErrorCode::ShuttingDown);
        assert!(client.try_receive().is_none());
        assert!(idle.try_receive().is_none());
        stopping.join().unwrap()
    });
    assert_eq!(stopping.total("kolk_connections"), 0);
}

impl Client {
    /// Asks for the topic's description while a fetch waits.
    fn call_in_between(&mut self, _topic: TopicId) {
        let name = TopicName::new("web").unwrap();
        let Reply::DescribeTopic(_) = self.call(&Request::DescribeTopic(name)) else { panic!() };
    }
}
