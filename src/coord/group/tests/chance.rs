//! Many clients that do anything at any time: whatever happens, the log gives the groups, no request is
//! answered twice, and each is answered in the end.

use super::*;
use crate::group::answer::GroupState;

/// A generator of numbers (splitmix64, by Steele, Lea and Flood).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(super) fn of<T: Clone>(&mut self, list: &[T]) -> T {
        let index = self.below(list.len() as u64);
        list[usize::try_from(index).unwrap()].clone()
    }
}

/// A client as it sees itself.
#[derive(Clone, Default)]
struct Player {
    member: Option<MemberId>,
    generation: i32,
    leads: bool,
    others: Vec<MemberId>,
}

const GROUPS: [&str; 3] = ["g", "h", "i"];
const TOPICS: [&str; 3] = ["t", "u", "v"];

fn player_request(chance: &mut Chance, player: &Player, number: usize) -> GroupRequest {
    let group = GroupId::new(GROUPS[number % GROUPS.len()]);
    let instance = number.is_multiple_of(4).then(|| InstanceId::from(format!("i{number}")));
    let known = player.member.clone().unwrap_or_else(|| MemberId::new(""));
    let member = if chance.one_in(20) { MemberId::new("wrong") } else { known.clone() };
    let generation = if chance.one_in(20) { player.generation + 1 } else { player.generation };
    match chance.below(12) {
        0..=3 => {
            let topics: Vec<&str> = TOPICS.iter().copied().filter(|_| !chance.one_in(3)).collect();
            let mut protocols = vec![protocol("range", &topics)];
            if chance.one_in(2) {
                protocols.insert(0, protocol("sticky", &topics));
            }
            GroupRequest::Join(JoinGroup {
                group,
                member: if chance.one_in(6) { MemberId::new("") } else { member },
                instance,
                session_timeout_ms: chance.of(&[6_000, 10_000, 45_000, 1]),
                rebalance_timeout_ms: chance.of(&[5_000, 60_000]),
                protocol_type: chance
                    .of(&["consumer", "consumer", "consumer", "connect"])
                    .to_owned(),
                protocols,
                knows_member_id_required: !chance.one_in(3),
                knows_skip_assignment: chance.one_in(2),
                ..join("")
            })
        }
        4..=6 => {
            let share = |id: &MemberId| (id.clone(), Bytes::from(format!("{generation} {id}")));
            let assignments =
                if player.leads { player.others.iter().map(share).collect() } else { vec![] };
            GroupRequest::Sync(SyncGroup {
                group,
                member,
                instance,
                generation: Generation::from_wire(generation),
                protocol_type: None,
                protocol: None,
                assignments,
            })
        }
        7..=8 => GroupRequest::Heartbeat(Heartbeat {
            group,
            member,
            instance,
            generation: Generation::from_wire(generation),
        }),
        9 if chance.one_in(3) => {
            let leaving = Leaving { member: known, instance, reason: None };
            GroupRequest::Leave(LeaveGroup { group, members: vec![leaving] })
        }
        _ => {
            let simple = chance.one_in(3);
            GroupRequest::CommitOffsets(CommitOffsets {
                group,
                member: if simple { MemberId::new("") } else { member },
                instance: if simple { None } else { instance },
                generation_or_epoch: if simple { -1 } else { generation },
                retention_ms: chance.one_in(5).then_some(1_000),
                ..commit(chance.of(&TOPICS), chance.below(1_000))
            })
        }
    }
}

fn tool_request(chance: &mut Chance) -> GroupRequest {
    let group = GroupId::new(chance.of(&GROUPS));
    let topic = chance.of(&TOPICS);
    match chance.below(4) {
        0 => GroupRequest::Delete(group),
        1 => GroupRequest::Describe(group),
        2 => {
            let leaving = Leaving {
                member: MemberId::new(""),
                instance: Some(InstanceId::from(format!("i{}", chance.below(12)))),
                reason: None,
            };
            GroupRequest::Leave(LeaveGroup { group, members: vec![leaving] })
        }
        _ => {
            let topics = vec![OffsetsOfTopic { topic: topic.into(), partitions: vec![0, 1] }];
            GroupRequest::DeleteOffsets(DeleteOffsets { group, topics })
        }
    }
}

/// What a client makes of an answer.
fn learn(player: &mut Player, answer: &GroupAnswer) {
    match answer {
        GroupAnswer::Join(Ok(joined)) => {
            *player = Player {
                member: Some(joined.member.clone()),
                generation: joined.generation.to_wire(),
                leads: joined.leader == joined.member,
                others: joined.members.iter().map(|one| one.member.clone()).collect(),
            };
        }
        GroupAnswer::Join(Err(refused)) if refused.code == ErrorCode::MemberIdRequired => {
            player.member = Some(refused.member.clone());
        }
        GroupAnswer::Join(Err(refused)) if refused.code == ErrorCode::UnknownMemberId => {
            player.member = None;
        }
        _ => {}
    }
}

/// The log gives every group; its members and assignments too, unless they are being changed.
pub(super) fn check_log(host: &Host, seed: u64, step: usize) {
    let (live, replayed) = (host.coordinator.durable(), host.replayed().durable());
    let ids = |map: &Map<GroupId, _>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(&live), ids(&replayed), "seed {seed} step {step}");
    let states: Map<GroupId, GroupState> = host
        .coordinator
        .list(&Default::default())
        .into_iter()
        .map(|one| (one.group, one.state))
        .collect();
    for (id, (value, consumers, offsets)) in &live {
        let (read, read_consumers, read_offsets) = &replayed[id];
        assert_eq!(consumers, read_consumers, "seed {seed} step {step}: consumers of {id}");
        assert_eq!(offsets, read_offsets, "seed {seed} step {step}: offsets of {id}");
        if matches!(states[id], GroupState::Stable | GroupState::Empty) {
            assert_eq!(value, read, "seed {seed} step {step}: group {id}");
        } else {
            let generation = |value: &Option<crate::group::record::GroupValue>| {
                value.as_ref().map_or(Generation::new(0), |value| value.generation)
            };
            assert!(generation(read) <= generation(value), "seed {seed} step {step}: {id}");
        }
    }
}

/// Plays, and gives the number of requests that were never answered.
fn play(seed: u64, steps: usize) -> usize {
    let mut chance = Chance::new(seed);
    let mut host = Host::new();
    let mut players = vec![Player::default(); 12];
    let mut open: Map<Ticket, usize> = Map::new();
    for step in 0..steps {
        match chance.below(20) {
            0..=2 => host.wait(chance.of(&[1, 500, 3_000, 7_000, 61_000])),
            3 if chance.one_in(10) => host.wait(chance.of(&[600_000, 8 * 24 * 3_600_000])),
            3 if chance.one_in(20) => {
                host.restart();
                // Requests that were parked have died with the coordinator.
                open.retain(|ticket, _| host.answers.contains_key(ticket));
            }
            4 if chance.one_in(4) => {
                host.delete_topic(chance.of(&TOPICS));
            }
            5 => {
                let ticket = host.ask(tool_request(&mut chance));
                assert!(host.answer(ticket).is_some(), "seed {seed} step {step}");
            }
            _ => {
                let number = usize::try_from(chance.below(12)).unwrap();
                let request = player_request(&mut chance, &players[number], number);
                let ticket = host.ask(request);
                open.insert(ticket, number);
            }
        }
        for (ticket, answer) in std::mem::take(&mut host.answers) {
            let number = open.remove(&ticket).unwrap_or_else(|| panic!("seed {seed} step {step}"));
            learn(&mut players[number], &answer);
        }
        check_log(&host, seed, step);
        let timers = host.coordinator.timer_count();
        assert!(timers <= 1 + GROUPS.len() * 2 + steps, "seed {seed} step {step}: {timers} timers");
    }
    // Half an hour of silence: every parked request is answered, and nobody is left.
    for _ in 0..200 {
        host.wait(10_000);
    }
    for group in host.coordinator.list(&Default::default()) {
        assert_eq!(group.state, GroupState::Empty, "seed {seed}: {}", group.group);
    }
    assert_eq!(host.coordinator.timer_count(), 1, "seed {seed}: timers are left");
    check_log(&host, seed, steps);
    open.keys().filter(|ticket| !host.answers.contains_key(ticket)).count()
}

#[test]
fn whatever_clients_do_the_log_gives_the_groups() {
    for seed in 0..60 {
        assert_eq!(play(seed, 400), 0, "requests without an answer, seed {seed}");
    }
}
