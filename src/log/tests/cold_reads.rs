//! Readers of what lies on disk alone, who go away in the middle.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::sim::Sim;
use kolk_model::offset::Offset;

use crate::settings::SyncPolicy;
use crate::tests::life::{config, id, put, read_all, start};

#[test]
fn a_reader_who_goes_away_leaves_his_window_to_the_others() {
    for polls in 1..20 {
        let sim = Sim::new(1);
        sim.run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
            for stamp in 0..60 {
                put(&io, &log, 9_000, stamp).await;
            }
            storage.shutdown().await.unwrap();
        });
        let ended = Rc::new(Cell::new(false));
        let told = Rc::clone(&ended);
        Sim::with_disk(sim.kill(), 2).run(move |io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.log(id(0)).unwrap();
            {
                let mut read = pin!(log.read(Offset::ZERO, log.log_end(), 1));
                let mut left = polls;
                poll_fn(|cx| {
                    left -= 1;
                    let ended = read.as_mut().poll(cx).is_ready();
                    if ended || left == 0 { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
            io.spawn(async move {
                assert_eq!(read_all(&log).await.len(), 60);
                told.set(true);
            });
            io.sleep(Duration::from_secs(5)).await;
        });
        assert!(ended.get(), "gone after {polls} polls: the next reader waits for ever");
    }
}
