//! One command for several names: what became of each. Apart because topics and groups are treated alike.

use crate::answer::{Answer, print};
use crate::error::CtlError;
use crate::exit::Exit;
use crate::global::Global;

/// What was done, and what was not.
#[derive(Debug)]
pub(crate) struct Several<T> {
    done: Vec<T>,
    failed: Vec<CtlError>,
    /// How many were asked for.
    asked: usize,
    /// How many were not even tried.
    left: usize,
}

impl<T> Several<T> {
    /// Of so many that are asked for.
    pub(crate) const fn of(asked: usize) -> Self {
        Self { done: Vec::new(), failed: Vec::new(), asked, left: asked }
    }

    /// Does something for each name; `None` is that there was nothing to do. Goes on after a failure, unless no broker answers.
    pub(crate) async fn each(
        names: &[String],
        mut act: impl AsyncFnMut(&str) -> Result<Option<T>, CtlError>,
    ) -> Self {
        let mut several = Self::of(names.len());
        for name in names {
            let outcome = act(name).await;
            if let Err(error) = &outcome
                && error.exit() == Exit::Unreachable
            {
                several.add(outcome);
                break;
            }
            // Where there is one, nobody asks which.
            let is_one = names.len() == 1;
            several.add(outcome.map_err(|error| if is_one { error } else { error.of(name) }));
        }
        several
    }

    /// What became of the next.
    pub(crate) fn add(&mut self, outcome: Result<Option<T>, CtlError>) {
        self.left -= 1;
        match outcome {
            Ok(done) => self.done.extend(done),
            Err(error) => self.failed.push(error),
        }
    }

    /// Prints what was done, though something else was not. An error that stands alone keeps its exit code.
    pub(crate) fn print<A: Answer>(
        self,
        global: &Global,
        answer: impl FnOnce(Vec<T>) -> A,
    ) -> Result<Exit, CtlError> {
        let Self { done, mut failed, asked, left } = self;
        if failed.is_empty() {
            print(global, &answer(done))?;
            return Ok(Exit::Ok);
        }
        if !done.is_empty() {
            print(global, &answer(done))?;
        } else if failed.len() == 1
            && let Some(error) =
                failed.pop_if(|error| asked == 1 || error.exit() == Exit::Unreachable)
        {
            return Err(error);
        }
        let undone = failed.len() + left;
        Err(CtlError::Several { failed, undone, asked })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct Done(Vec<String>);

    impl Answer for Done {
        fn text(&self, _out: &mut dyn Write) -> io::Result<()> {
            Ok(())
        }
    }

    /// What comes of names that fail as they are called.
    async fn tried(names: &str) -> Result<Exit, CtlError> {
        let global = Global { brokers: String::new(), json: false };
        let names: Vec<String> = names.split(' ').map(str::to_owned).collect();
        let several = Several::each(&names, async |name: &str| match name {
            "absent" => Err(CtlError::TopicUnknown { topic: name.to_owned() }),
            "away" => {
                let (tried, reason) = ("a:1".to_owned(), "refused".to_owned());
                Err(CtlError::Unreachable { tried, reason })
            }
            "nothing" => Ok(None),
            done => Ok(Some(done.to_owned())),
        });
        several.await.print(&global, Done)
    }

    #[tokio::test]
    async fn one_name_fails_with_its_own_code() {
        assert_eq!(tried("good").await.unwrap(), Exit::Ok);
        assert_eq!(tried("nothing").await.unwrap(), Exit::Ok);
        let error = tried("absent").await.unwrap_err();
        assert_eq!(error.exit(), Exit::NotFound);
        assert!(error.to_string().starts_with("topic 'absent'"), "{error}");
    }

    #[tokio::test]
    async fn several_names_are_all_tried_and_those_that_failed_are_named() {
        assert_eq!(tried("good better").await.unwrap(), Exit::Ok);
        let error = tried("absent good absent").await.unwrap_err();
        assert_eq!(error.exit(), Exit::Failed);
        let text = error.to_string();
        assert!(text.starts_with("2 of 3 failed:\n  absent: topic 'absent'"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[tokio::test]
    async fn nobody_is_asked_again_where_no_broker_answers() {
        assert_eq!(tried("away good").await.unwrap_err().exit(), Exit::Unreachable);
        let error = tried("good away good good").await.unwrap_err();
        assert_eq!(error.exit(), Exit::Failed);
        assert!(error.to_string().starts_with("3 of 4 failed:\n  no broker answers"), "{error}");
    }
}
