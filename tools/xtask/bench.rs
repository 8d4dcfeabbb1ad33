//! placeholder
use crate::options::Options;
use crate::repo::Repo;
use crate::step::Failure;
pub(crate) fn bench(_: &Repo, _: &Options) -> Result<(), Failure> {
    Ok(())
}
