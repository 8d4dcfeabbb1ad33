//! Every setting there is, with its documentation. The file, the environment and the flags are read by this
//! table, and `kolk config` prints it: a setting that is not here does not exist.

use kolk_serve::settings::ServeSettings;

use crate::config::Config;
use crate::setting::{Setting, ValueError};
use crate::{settings_node, settings_serve, settings_storage};

/// Every setting, in the order in which it is shown.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    settings_node::SETTINGS.iter().chain(settings_serve::SETTINGS).chain(settings_storage::SETTINGS)
}

/// What no range of one setting can say: how settings must fit together.
///
/// # Errors
/// The key at fault, and why.
pub(crate) fn check_together(config: &Config) -> Result<(), (&'static str, ValueError)> {
    let ServeSettings { frame_bytes_max, shard_request_bytes_max, .. } = config.serve;
    if shard_request_bytes_max < frame_bytes_max {
        let detail = format!(
            "{shard_request_bytes_max} is less than socket.request.max.bytes ({frame_bytes_max})"
        );
        return Err(("shard_request_bytes_max", ValueError::Other(detail)));
    }
    let (journal_file_bytes, group_bytes_max) =
        (config.shard.log.journal_file_bytes, config.shard.log.group_bytes_max);
    if !journal_file_bytes.is_multiple_of(4_096) {
        let detail = format!("{journal_file_bytes} is no multiple of 4096");
        return Err(("journal_file_bytes", ValueError::Other(detail)));
    }
    if u64::try_from(group_bytes_max).is_ok_and(|bytes| bytes > journal_file_bytes / 2) {
        let detail = format!(
            "{group_bytes_max} is more than half of journal_file_bytes ({journal_file_bytes})"
        );
        return Err(("journal_group_bytes_max", ValueError::Other(detail)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_reads_back() {
        let default = Config::default();
        for setting in settings() {
            let mut config = Config::default();
            let set = (setting.set)(&mut config, &setting.default());
            assert_eq!(set, Ok(()), "{}", setting.key);
            assert_eq!(config, default, "{}", setting.key);
        }
    }

    #[test]
    fn keys_and_environment_names_are_unlike() {
        for (position, setting) in settings().enumerate() {
            for other in settings().take(position) {
                assert_ne!(setting.key, other.key);
                assert_ne!(setting.environment_name(), other.environment_name());
                let nested =
                    |longer: &str, shorter: &str| longer.starts_with(&format!("{shorter}."));
                assert!(!nested(setting.key, other.key), "{} is a table in TOML", other.key);
                assert!(!nested(other.key, setting.key), "{} is a table in TOML", setting.key);
            }
        }
    }

    #[test]
    fn every_setting_is_documented() {
        for setting in settings() {
            assert!(setting.meaning.ends_with('.'), "{}", setting.key);
            assert!(!setting.range.is_empty(), "{}", setting.key);
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let cases = [
            ("shards", "0"),
            ("shards", "513"),
            ("cores", "3-1"),
            ("listen", "here"),
            ("data", ""),
            ("log_format", "xml"),
            ("advertise", "a b"),
            ("native.port", "65536"),
            ("connections.max.idle.ms", "1"),
            ("socket.request.max.bytes", "2GiB"),
            ("memory_bytes_max", "1MiB"),
            ("accept_loss", "maybe"),
        ];
        for (key, text) in cases {
            let setting = settings().find(|setting| setting.key == key).unwrap();
            assert!((setting.set)(&mut Config::default(), text).is_err(), "{key} = {text}");
        }
    }

    #[test]
    fn the_largest_frame_must_fit_the_shards_budget() {
        let mut config = Config::default();
        assert_eq!(check_together(&config), Ok(()));
        config.serve.shard_request_bytes_max = config.serve.frame_bytes_max - 1;
        assert_eq!(check_together(&config).unwrap_err().0, "shard_request_bytes_max");
    }

    #[test]
    fn journal_groups_must_fit_their_files() {
        let mut config = Config::default();
        config.shard.log.journal_file_bytes = (1 << 20) + 1;
        assert_eq!(check_together(&config).unwrap_err().0, "journal_file_bytes");
        config.shard.log.journal_file_bytes = 1 << 20;
        assert_eq!(check_together(&config).unwrap_err().0, "journal_group_bytes_max");
    }
}
