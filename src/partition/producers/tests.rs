//! The producer rules against a model that remembers everything, and the cases that Kafka's clients rely on.

use proptest::prelude::*;

use super::*;

fn batch(producer: u64, epoch: u16, first: u32, sequences: u32) -> ProducerBatch {
    ProducerBatch {
        producer: ProducerId::new(producer),
        epoch: ProducerEpoch::new(epoch),
        first: Sequence::new(first),
        sequences,
    }
}

/// Admits and records, as a partition does; gives what the producer would be told.
fn send(
    producers: &mut Producers,
    end: &mut u64,
    batch: &ProducerBatch,
) -> Result<u64, ProducerRefusal> {
    match producers.admit(batch)? {
        Admission::Duplicate { base_offset, .. } => Ok(base_offset.get()),
        Admission::Fresh => {
            let base = *end;
            producers.record(batch, Offset::new(base), TimestampMs::new(0));
            *end += u64::from(batch.sequences);
            Ok(base)
        }
    }
}

#[test]
fn a_repeated_batch_gets_its_first_offset_while_it_is_among_the_last_five() {
    let mut producers = Producers::new(8);
    let mut end = 0;
    for i in 0..6 {
        assert_eq!(send(&mut producers, &mut end, &batch(1, 0, i * 10, 10)), Ok(u64::from(i) * 10));
    }
    for i in 1..6 {
        assert_eq!(send(&mut producers, &mut end, &batch(1, 0, i * 10, 10)), Ok(u64::from(i) * 10));
    }
    let oldest = send(&mut producers, &mut end, &batch(1, 0, 0, 10));
    assert!(matches!(oldest, Err(ProducerRefusal::OutOfOrder { .. })), "{oldest:?}");
    assert_eq!(end, 60);
}

#[test]
fn a_gap_and_a_batch_cut_differently_are_refused() {
    let mut producers = Producers::new(8);
    let mut end = 0;
    send(&mut producers, &mut end, &batch(1, 0, 0, 10)).unwrap();
    for (first, sequences) in [(11, 1), (5, 5), (0, 9), (9, 1)] {
        assert_eq!(
            send(&mut producers, &mut end, &batch(1, 0, first, sequences)),
            Err(ProducerRefusal::OutOfOrder {
                producer: ProducerId::new(1),
                expected: Sequence::new(10),
                found: Sequence::new(first),
            })
        );
    }
}

#[test]
fn a_newer_epoch_starts_at_zero_and_fences_the_older() {
    let mut producers = Producers::new(8);
    let mut end = 0;
    send(&mut producers, &mut end, &batch(1, 3, 0, 10)).unwrap();
    let skipped = send(&mut producers, &mut end, &batch(1, 4, 10, 1));
    assert!(matches!(skipped, Err(ProducerRefusal::OutOfOrder { .. })), "{skipped:?}");
    assert_eq!(send(&mut producers, &mut end, &batch(1, 4, 0, 10)), Ok(10));
    let stale = send(&mut producers, &mut end, &batch(1, 3, 10, 1));
    assert!(matches!(stale, Err(ProducerRefusal::StaleEpoch { .. })), "{stale:?}");
}

#[test]
fn an_unknown_or_forgotten_producer_may_begin_anywhere() {
    let mut producers = Producers::new(8);
    let mut end = 0;
    assert_eq!(send(&mut producers, &mut end, &batch(1, 2, 77, 1)), Ok(0));
    assert_eq!(producers.expire(TimestampMs::new(0)), 0);
    assert_eq!(producers.expire(TimestampMs::new(1)), 1);
    assert_eq!(send(&mut producers, &mut end, &batch(1, 2, 90, 1)), Ok(1));
}

#[test]
fn sequences_wrap_within_and_between_batches() {
    let mut producers = Producers::new(8);
    let mut end = 0;
    let last = Sequence::MAX.get();
    assert_eq!(send(&mut producers, &mut end, &batch(1, 0, last - 1, 4)), Ok(0));
    assert_eq!(send(&mut producers, &mut end, &batch(1, 0, 2, 1)), Ok(4));
    assert_eq!(send(&mut producers, &mut end, &batch(1, 0, last - 1, 4)), Ok(0));
    assert_eq!(send(&mut producers, &mut end, &batch(2, 0, last, 1)), Ok(5));
    assert_eq!(send(&mut producers, &mut end, &batch(2, 0, 0, 1)), Ok(6));
}

#[test]
fn beyond_the_bound_those_idle_longest_are_forgotten() {
    let mut producers = Producers::new(16);
    let mut end = 0;
    for id in 0..16 {
        send(&mut producers, &mut end, &batch(id, 0, 0, 1)).unwrap();
    }
    send(&mut producers, &mut end, &batch(0, 0, 1, 1)).unwrap();
    send(&mut producers, &mut end, &batch(99, 0, 0, 1)).unwrap();
    let kept: Vec<_> = producers.iter().map(|(id, _)| id.get()).collect();
    assert_eq!(kept, [0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 99]);
}

#[test]
fn several_batches_of_one_request_are_judged_in_turn() {
    let mut producers = Producers::new(8);
    let request = [batch(1, 0, 0, 5), batch(2, 0, 7, 1), batch(1, 0, 5, 5)];
    assert_eq!(producers.admit_all(&request), Ok(Admission::Fresh));
    let gap = producers.admit_all(&[batch(1, 0, 0, 5), batch(1, 0, 6, 1)]);
    assert!(matches!(gap, Err(ProducerRefusal::OutOfOrder { .. })), "{gap:?}");
    let twice = producers.admit_all(&[batch(1, 0, 0, 5), batch(1, 0, 0, 5)]);
    assert!(matches!(twice, Err(ProducerRefusal::PartlyDuplicate { .. })), "{twice:?}");

    let mut base = 0;
    for b in &request {
        producers.record(b, Offset::new(base), TimestampMs::new(0));
        base += u64::from(b.sequences);
    }
    assert_eq!(
        producers.admit_all(&request),
        Ok(Admission::Duplicate { base_offset: Offset::new(0), next_offset: Offset::new(11) })
    );
    let mixed = producers.admit_all(&[batch(1, 0, 5, 5), batch(1, 0, 10, 1)]);
    assert!(matches!(mixed, Err(ProducerRefusal::PartlyDuplicate { .. })), "{mixed:?}");
}

/// The rules once more, over the whole history and in 64-bit arithmetic.
fn model(history: &[(ProducerBatch, u64)], b: &ProducerBatch) -> Result<Option<u64>, ()> {
    let own: Vec<_> = history.iter().filter(|(h, _)| h.producer == b.producer).collect();
    let Some((last, _)) = own.last() else { return Ok(None) };
    if b.epoch < last.epoch {
        return Err(());
    }
    if b.epoch > last.epoch {
        return if b.first.get() == 0 { Ok(None) } else { Err(()) };
    }
    let run: Vec<_> = own.iter().rev().take_while(|(h, _)| h.epoch == last.epoch).take(5).collect();
    if let Some((_, base)) =
        run.iter().find(|(h, _)| h.first == b.first && h.sequences == b.sequences)
    {
        return Ok(Some(*base));
    }
    let next = (u64::from(last.first.get()) + u64::from(last.sequences)) % (1 << 31);
    if u64::from(b.first.get()) == next { Ok(None) } else { Err(()) }
}

#[derive(Debug, Clone)]
enum Move {
    /// The next batch of the producer.
    Next { sequences: u32 },
    /// A batch that was sent before.
    Again { back: usize },
    /// Any batch.
    Stray { epoch: u16, first: u32, sequences: u32 },
    /// The producer with its next epoch.
    Bump { first: u32 },
}

fn moves() -> impl Strategy<Value = Vec<(u64, Move)>> {
    let near_wrap = prop_oneof![0..4u32, (Sequence::MAX.get() - 3)..=Sequence::MAX.get()];
    let one = prop_oneof![
        4 => (1..5u32).prop_map(|sequences| Move::Next { sequences }),
        3 => (0..8usize).prop_map(|back| Move::Again { back }),
        2 => (0..3u16, near_wrap, 1..5u32)
            .prop_map(|(epoch, first, sequences)| Move::Stray { epoch, first, sequences }),
        1 => (0..2u32).prop_map(|first| Move::Bump { first }),
    ];
    proptest::collection::vec((0..3u64, one), 1..80)
}

fn concrete(history: &[(ProducerBatch, u64)], producer: u64, step: &Move) -> ProducerBatch {
    let own: Vec<_> = history.iter().filter(|(h, _)| h.producer.get() == producer).collect();
    let last = own.last().map_or(batch(producer, 0, 0, 1), |(b, _)| *b);
    match *step {
        Move::Next { sequences } if own.is_empty() => batch(producer, 0, 0, sequences),
        Move::Next { sequences } => {
            ProducerBatch { first: last.first.advance(last.sequences), sequences, ..last }
        }
        Move::Again { back } => own.iter().rev().nth(back).map_or(last, |(b, _)| *b),
        Move::Stray { epoch, first, sequences } => batch(producer, epoch, first, sequences),
        Move::Bump { first } => batch(producer, last.epoch.get() + 1, first, 1),
    }
}

proptest! {
    // A file of failures would land beside the crates, where only crates may be.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_equal_those_of_a_model_that_forgets_nothing(steps in moves()) {
        let mut producers = Producers::new(8);
        let mut history: Vec<(ProducerBatch, u64)> = Vec::new();
        let mut end = 0;
        for (producer, step) in &steps {
            let b = concrete(&history, *producer, step);
            let expected = model(&history, &b);
            let before = end;
            let told = send(&mut producers, &mut end, &b);
            match expected {
                Ok(Some(base)) => prop_assert_eq!(told, Ok(base)),
                Ok(None) => {
                    prop_assert_eq!(told, Ok(before));
                    history.push((b, before));
                }
                Err(()) => prop_assert!(told.is_err(), "{:?} was accepted", b),
            }
        }
    }

    #[test]
    fn replaying_the_log_gives_the_same_states(steps in moves()) {
        let mut producers = Producers::new(8);
        let mut history: Vec<(ProducerBatch, u64)> = Vec::new();
        let mut end = 0;
        for (producer, step) in &steps {
            let b = concrete(&history, *producer, step);
            let before = end;
            if send(&mut producers, &mut end, &b) == Ok(before) && end > before {
                history.push((b, before));
            }
        }
        let mut replayed = Producers::new(8);
        for (b, base) in &history {
            replayed.record(b, Offset::new(*base), TimestampMs::new(0));
        }
        prop_assert!(producers.iter().eq(replayed.iter()));
    }

    #[test]
    fn the_bound_on_producers_holds(ids in proptest::collection::vec(0..1000u64, 1..300), max in 1..40usize) {
        let mut producers = Producers::new(max);
        for (base, id) in (0u64..).zip(&ids) {
            producers.record(&batch(*id, 0, 0, 1), Offset::new(base), TimestampMs::new(0));
            prop_assert!(producers.count() <= max);
            prop_assert!(producers.iter().any(|(p, _)| p.get() == *id));
        }
    }
}

/// What happens to the log of some producers.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send {
        producer: u64,
        sequences: u32,
    },
    /// The next epoch begins.
    Bump {
        producer: u64,
    },
    /// So much of what is not durable yet becomes so, in tenths.
    Sync {
        tenths: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_u64, 1..4_u32).prop_map(|(producer, sequences)| Step::Send { producer, sequences }),
        1 => (0..3_u64).prop_map(|producer| Step::Bump { producer }),
        1 => (0..=10_u64).prop_map(|tenths| Step::Sync { tenths }),
    ]
}

proptest! {
    #[test]
    fn compaction_leaves_the_newest_batch_of_each_producer_that_no_crash_takes_away(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut producers = Producers::new(8);
        let (mut end, mut durable) = (0, 0);
        let mut next = [(0_u16, 0_u32); 3];
        let mut all: Vec<(u64, u64, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Send { producer, sequences } => {
                    let (epoch, first) = &mut next[usize::try_from(producer).unwrap()];
                    producers.set_durable(Offset::new(durable));
                    let base = end;
                    let one = batch(producer, *epoch, *first, sequences);
                    prop_assert_eq!(send(&mut producers, &mut end, &one), Ok(base));
                    all.push((producer, base, end));
                    *first += sequences;
                }
                Step::Bump { producer } => {
                    let (epoch, first) = &mut next[usize::try_from(producer).unwrap()];
                    (*epoch, *first) = (*epoch + 1, 0);
                }
                Step::Sync { tenths } => durable += (end - durable) * tenths / 10,
            }
            for (id, state) in producers.iter() {
                let own = all.iter().rev().filter(|(producer, _, _)| *producer == id.get());
                let newest = own.map(|(_, base, end)| (*base, *end)).find(|(_, end)| *end <= durable);
                let Some((newest, _)) = newest else { continue };
                let needs = state.needs(Offset::new(durable));
                let mut left = state.batches().iter().map(|b| b.base_offset).chain(needs.keep);
                let newest = Offset::new(newest);
                prop_assert!(newest >= needs.below || left.any(|one| one == newest), "{newest} {needs:?}");
                // It does not hold compaction up for ever.
                prop_assert!(durable < end || needs == Needs::NOTHING);
            }
        }
    }
}
